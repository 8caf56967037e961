"""How the rooms of the house depend on each other: read from the sources, so that a deferred import counts too."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest


def without_type_checking(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes of a tree but those under `if TYPE_CHECKING:`."""
    if not (isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"):
        yield node
        for child in ast.iter_child_nodes(node):
            yield from without_type_checking(child)


def module_name(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


@pytest.fixture(scope="module")
def imports(repository: Path) -> dict[str, set[str]]:
    """What each module of the package imports of the package, also inside functions; not what only types need."""
    package = repository / "vinnas_tf"
    files = [path for path in package.rglob("*.py") if path.relative_to(package).parts[0] not in ("flags", "export")]
    files += [path for name in ("flags", "export") for path in (package / name).rglob("*.py")]
    names = {module_name(path, repository): path for path in files}
    found: dict[str, set[str]] = {}
    for name, path in names.items():
        found[name] = set()
        for node in without_type_checking(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                wanted = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                wanted = [f"{node.module}.{alias.name}" for alias in node.names]
                wanted = [one if one in names else node.module for one in wanted]
            else:
                continue
            found[name] |= {one for one in wanted if one in names} - {name}
    return found


def order(graph: dict[str, set[str]]) -> None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_there_are_modules_and_imports(imports):
    assert len(imports) > 80
    assert "vinnas_tf.errors" in imports["vinnas_tf.config.setting"]


def test_no_modules_import_each_other_in_a_circle(imports):
    order(imports)


def test_no_folders_import_each_other_in_a_circle(imports):
    """A module beside the folders counts as one of its own; the package's own `__init__` names what it loads."""
    graph: dict[str, set[str]] = {}
    for module, needs in imports.items():
        folder = ".".join(module.split(".")[:2])
        graph.setdefault(folder, set()).update(".".join(one.split(".")[:2]) for one in needs)
    graph.pop("vinnas_tf")
    order({folder: needs - {folder, "vinnas_tf"} for folder, needs in graph.items()})
