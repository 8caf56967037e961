"""The wheel: what it holds, and that its command lines work where there is no checkout."""

import os
import re
import shutil
import site
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest


def copy_sources(repository: Path, target: Path) -> Path:
    """A checkout without what an earlier build left in it."""
    for name in ("vinnas_tf", "flags", "export"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(repository / name, target / name, ignore=ignore, symlinks=True)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repository / name, target)
    return target


@pytest.fixture(scope="module")
def wheel(repository, tmp_path_factory) -> Path:
    """A wheel built from a source distribution, which has files where the checkout has links."""
    source = copy_sources(repository, tmp_path_factory.mktemp("source"))
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(source / "dist"), str(source)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (built,) = (source / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The interpreter of a new virtual environment with the wheel; its dependencies come from this environment."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(pip, check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    dependencies = [sysconfig.get_path("purelib"), *site.getsitepackages()]
    (packages / "dependencies.pth").write_text("\n".join(dict.fromkeys(dependencies)) + "\n")
    return python


def run_elsewhere(program: Path, *argv: str, cwd: Path) -> subprocess.CompletedProcess:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run([program, *argv], cwd=cwd, env=env, capture_output=True, text=True)


def test_the_wheel_holds_every_source_file_under_one_name(wheel, repository):
    own = (path for path in (repository / "vinnas_tf").rglob("*") if path.suffix == ".py" or path.name == "py.typed")
    sources = {str(path.relative_to(repository)) for path in own}
    for folder in ("flags", "export"):
        for pattern in ("*.py", "*.flags"):
            sources |= {f"vinnas_tf/{path.relative_to(repository)}" for path in (repository / folder).rglob(pattern)}
    templates = repository / "vinnas_tf" / "report" / "templates"
    sources |= {str(path.relative_to(repository)) for path in templates.iterdir()}
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    packaged = {name for name in names if ".dist-info/" not in name}
    assert packaged == sources
    assert {name.split("/")[0] for name in packaged} == {"vinnas_tf"}
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_presets_and_settings_come_from_the_installed_package(installed, repository, tmp_path):
    program = "import vinnas_tf.flags as f; print(f.__file__, *f.preset_names('search'), *f.preset_names('train'))"
    done = run_elsewhere(installed, "-c", program, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    file, *presets = done.stdout.split()
    assert Path(file).is_relative_to(installed.parent.parent)
    folders = [repository / "flags" / "presets" / command for command in ("search", "train")]
    assert presets == [name for folder in folders for name in sorted(path.stem for path in folder.glob("*.flags"))]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["vinnas"], ["python -m vinnas_tf --dataset=", "--budget_minutes=0.0"]),
        (["vinnas-search", "--dataset=cifar10"], ["--cells=NNRNNRNN", "cifar10_laptop"]),
        (["vinnas-train", "--dataset=mnist"], ["--epochs=100", "mnist_laptop"]),
        (["vinnas-compress"], ["python -m vinnas_tf.compress", "--penalties=1e-06,3e-06,1e-05,3e-05,0.0001"]),
        (["vinnas-compare"], ["--seeds=3", "vinnas-magnitude"]),
        (["vinnas-report"], ["python -m vinnas_tf.report", "--run_dir="]),
        (["vinnas-export"], ["python -m vinnas_tf.export", "--formats=saved_model,tflite"]),
        (["vinnas-verify"], ["python -m vinnas_tf.export.verify", "--network="]),
        (["vinnas-predict"], ["python -m vinnas_tf.export.predict"]),
    ],
)
def test_an_installed_command_runs_from_another_folder(installed, tmp_path, command, says):
    script, *flags = command
    done = run_elsewhere(installed.parent / script, *flags, "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for text in says:
        assert text in done.stdout
    has_presets = script in ("vinnas", "vinnas-search", "vinnas-train", "vinnas-compare")
    assert ("--preset" in done.stdout) == has_presets
    assert not any(tmp_path.iterdir())


def test_an_installed_command_tells_a_mistake_in_one_line(installed, tmp_path):
    done = run_elsewhere(installed.parent / "vinnas-search", "--epoch=3", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: unknown flag --epoch: did you mean --epochs?\n"


def test_a_module_of_the_wheel_runs_as_a_command(installed, tmp_path):
    done = run_elsewhere(installed, "-m", "vinnas_tf.export", "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "python -m vinnas_tf.export" in done.stdout


def test_a_checkout_without_symbolic_links_says_so_in_one_line(repository, tmp_path):
    """As git leaves it where links are not allowed: a file that holds the link's target."""
    checkout = copy_sources(repository, tmp_path)
    (checkout / "vinnas_tf" / "flags").unlink()
    (checkout / "vinnas_tf" / "flags").write_text("../flags")
    done = run_elsewhere(Path(sys.executable), "-m", "vinnas_tf.search", cwd=checkout)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "vinnas_tf/flags must be a symbolic link to ../flags" in done.stderr
    assert "core.symlinks" in done.stderr


@pytest.mark.parametrize("name", ["flags", "export"])
def test_lint_bans_the_folders_bare_names(name, repository, tmp_path):
    (tmp_path / "module.py").write_text(f'"""Imports a folder of the checkout."""\n\nimport {name}\n\nprint({name})\n')
    command = [sys.executable, "-m", "ruff", "check", "--config", repository / "pyproject.toml", "--no-cache", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "TID251" in done.stdout
    assert f"vinnas_tf.{name}" in done.stdout


def test_pins_cover_the_declared_dependencies(repository):
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    lines = (repository / "requirements.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert len(pins) == len([line for line in lines if not line.startswith("#")])
    pinned = {name.lower().replace("_", "-") for name in pins}
    for requirement in project["dependencies"] + project["optional-dependencies"]["dev"]:
        assert requirement.split(">=")[0].lower().replace("_", "-") in pinned, requirement
    assert "torch" not in pinned


def test_the_commit_hook_runs_the_pinned_ruff(repository):
    """Two versions would format a file to and fro."""
    (hook,) = re.findall(r"ruff-pre-commit\n    rev: v(\S+)", (repository / ".pre-commit-config.yaml").read_text())
    assert f"ruff=={hook}" in (repository / "requirements.txt").read_text().splitlines()
