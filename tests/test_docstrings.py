"""The examples of docstrings, and the script in examples/, do what they say."""

import doctest
import importlib.util
import os
import pkgutil
import runpy
from pathlib import Path

import pytest

import vinnas_tf


def with_examples() -> list[str]:
    """Modules of the package whose docstrings have examples."""
    names = [module.name for module in pkgutil.walk_packages(vinnas_tf.__path__, "vinnas_tf.")]
    found = {name: importlib.util.find_spec(name) for name in names}
    files = {name: Path(spec.origin) for name, spec in found.items() if spec is not None and spec.origin}
    return [name for name, file in files.items() if ">>> " in file.read_text(encoding="utf-8")]


@pytest.mark.parametrize("name", ["vinnas_tf", *with_examples()])
def test_examples_of_docstrings(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted > 0
    assert found.failed == 0


def test_every_public_name_has_an_example_where_people_look_for_one() -> None:
    """Data and errors are shown in the examples of what makes them."""
    plain = {
        "ChannelResult",
        "Edge",
        "ExportResult",
        "Method",
        "SearchResult",
        "SearchSpace",
        "TrainResult",
        "UserError",
        "draw_cells",
    }
    without = [name for name in vinnas_tf.__all__ if ">>> " not in (getattr(vinnas_tf, name).__doc__ or "")]
    assert set(without) == plain


def test_the_script_goes_from_arrays_to_proven_files(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    names = runpy.run_path(str(repository / "examples" / "digits.py"))
    assert names["found"].genotype.cells.keys() == {"reduction"}
    figures = names["files"].manifest["files"]["tflite/float32.tflite"]["figures"]
    assert figures["images"] == 397
    assert figures["agreement"] == 1
    # Far above chance, after a minute of learning.
    assert figures["accuracy"] > 0.8
    assert os.path.getsize(tmp_path / "digits/export/tflite/float32.tflite") > 1000
    assert "test accuracy" in capsys.readouterr().out
