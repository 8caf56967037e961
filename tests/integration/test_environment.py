"""The commands wherever they are started: the environment, streams, encodings and folders of others."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

# The fastest searches and trainings that there are: nothing here asks how good they are.
SEARCH = ("--data_fraction=1", "--batch_size=16", "--states=1", "--channels=2", "--estimator=weight_sampling")
TRAIN = ("--data_fraction=1", "--batch_size=16", "--channels=2")
CLASSES = ("caf\N{LATIN SMALL LETTER E WITH ACUTE}", "\N{CJK UNIFIED IDEOGRAPH-732B}")


def run(
    folder: Path, *argv: str, before: tuple[str, ...] = (), env: dict[str, str] | None = None
) -> subprocess.CompletedProcess:
    """Runs `python -m ARGV` in `folder`; what it prints comes back as bytes, whatever their encoding is."""
    places = os.pathsep.join([str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")])
    everything = {**os.environ, "PYTHONPATH": places, **(env or {})}
    command = [*before, sys.executable, "-m", *argv]
    return subprocess.run(command, cwd=folder, env=everything, capture_output=True, timeout=900, check=False)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder data set whose names no ASCII terminal can show."""
    folder = tmp_path_factory.mktemp("images") / CLASSES[0]
    rng = np.random.default_rng(0)
    for label, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for index in range(30):
            pixels = rng.integers(0, 128, (8, 8)) + 100 * label
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{index}.png")
    return folder


def succeed(folder: Path, *argv: str, **kwargs) -> None:
    """Runs a command that must end well and without a word on stderr."""
    done = run(folder, *argv, **kwargs)
    logs = [path.read_text(encoding="utf-8") for path in folder.rglob("*.log")]
    assert done.returncode == 0, (done.stderr.decode(), *logs)
    assert done.stderr == b""
    assert not [line for log in logs for line in log.splitlines() if "warning" in line.lower()]


@pytest.fixture(scope="module")
def plain(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a search and a training."""
    folder = tmp_path_factory.mktemp("plain")
    data = ["--preset=smoke", f"--dataset=folder:{images}", "--run_dir=run"]
    succeed(folder, "vinnas_tf.search", *data, *SEARCH)
    succeed(folder, "vinnas_tf.train", *data, *TRAIN)
    return folder / "run"


def test_an_environment_of_others_changes_no_figure_and_no_picture(plain, images, tmp_path):
    (tmp_path / "keras.json").write_text(
        json.dumps({"floatx": "float16", "epsilon": 0.1, "backend": "torch", "image_data_format": "channels_first"})
    )
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nsavefig.dpi: 20\n")
    env = {
        "KERAS_BACKEND": "jax",
        "KERAS_HOME": str(tmp_path),
        "KERAS_MAX_EPOCHS": "1",
        "KERAS_MAX_STEPS_PER_EPOCH": "1",
        "MATPLOTLIBRC": str(tmp_path / "matplotlibrc"),
        "MPLBACKEND": "module://matplotlib_inline.no_such_backend",
        "PYTHONIOENCODING": "ascii:strict",
        "PYTHONWARNINGS": "error",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_USE_LEGACY_KERAS": "1",
    }
    # A comparison starts a search and a training.
    flags = ["--preset=smoke", "--methods=vinnas", "--seeds=1", f"--dataset=folder:{images}"]
    flags += [f"--search={' '.join(SEARCH)}", f"--train={' '.join(TRAIN)}", f"--run_dir={CLASSES[0]}"]
    succeed(tmp_path, "vinnas_tf.compare", *flags, env=env)
    assert min(Image.open(tmp_path / CLASSES[0] / "compare" / "comparison.png").size) > 200
    other = tmp_path / CLASSES[0] / "compare" / "rows" / "vinnas-seed0"
    results = [json.loads((folder / "train" / "result.json").read_text(encoding="utf-8")) for folder in (plain, other)]
    for figures in ("held_out", "test", "params_nonzero", "class_names"):
        assert results[0][figures] == results[1][figures]
    files = [*plain.rglob("*.png"), plain / "search" / "posterior.json", plain / "search" / "cells.svg"]
    assert {"cells.png", "posterior.png", "threshold.png", "sparsity.png"} <= {path.name for path in files}
    for file in files:
        assert file.read_bytes() == (other / file.relative_to(plain)).read_bytes(), file


def test_a_moved_run_folder_is_pruned_exported_and_verified_through_a_link(plain, images, tmp_path):
    moved, link, elsewhere = tmp_path / "moved", tmp_path / "link", tmp_path / "elsewhere"
    plain.rename(moved)
    link.symlink_to(moved)
    elsewhere.mkdir()
    metrics = (moved / "train" / "metrics.csv").read_bytes()
    pruned = ["vinnas_tf.train", f"--run_dir={link}", "--preset=smoke", f"--dataset=folder:{images}", *TRAIN]
    pruned.append("--log_noise_ratio_threshold=0")
    done = run(elsewhere, *pruned)
    assert done.returncode == 0, done.stderr
    assert (moved / "train" / "metrics.csv").read_bytes() == metrics  # It was not trained again.
    done = run(tmp_path, "vinnas_tf.export", "--run_dir=~/moved", "--formats=tflite", env={"HOME": str(tmp_path)})
    assert done.returncode in (0, 1), done.stderr  # So bad a network may miss a bar.
    assert (moved / "export" / "tflite" / "labels.txt").read_text(encoding="utf-8").split() == list(CLASSES)
    file = "../link/export/tflite/float32.tflite"
    # In 7 bits a dataset's path reaches Python as bytes that it can't decode.
    env = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = run(elsewhere, "vinnas_tf.export.verify", file, f"--dataset=folder:{images}", env=env)
    assert done.returncode in (0, 1), done.stderr
    assert b"are the training's test images and 0 are new" in b" ".join(done.stdout.split())
    assert b"There was no Keras network" not in done.stdout


def test_closed_streams_and_a_home_that_cannot_be_written_are_no_matter(tmp_path):
    (tmp_path / "file").touch()
    env = {"HOME": str(tmp_path / "file" / "home"), "TF_CPP_MIN_LOG_LEVEL": "0"}
    search = ["vinnas_tf.search", "--method=random", "--cells=R", "--run_dir=r"]
    done = run(tmp_path, *search, before=("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"), env=env)
    assert done.returncode == 0
    assert min(Image.open(tmp_path / "r" / "search" / "cells.png").size) > 200
    # Nothing that was meant for a stream got into a file.
    assert json.loads((tmp_path / "r" / "config.json").read_text(encoding="utf-8"))["stages"]
    assert (tmp_path / "r" / ".lock").read_bytes().isdigit()


def test_an_unknown_home_folder_is_one_line(tmp_path):
    flags = ["--method=random", "--dataset=folder:~no-such-user/pictures", "--run_dir=r"]
    done = run(tmp_path, "vinnas_tf.search", *flags)
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: ~no-such-user/pictures: there is no home folder ~no-such-user")
    assert done.stderr.count(b"\n") == 1
    assert not any(tmp_path.iterdir())
