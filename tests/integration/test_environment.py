"""The commands wherever they are started: the environment, streams, encodings and folders of others."""

import csv
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
    folder: Path, *argv: str, python: tuple[str, ...] = (), env: dict[str, str] | None = None
) -> subprocess.CompletedProcess:
    """Runs `python -m ARGV` in `folder`; what it prints comes back as bytes, for its encoding is part of the matter."""
    places = os.pathsep.join([str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")])
    everything = {**os.environ, "PYTHONPATH": places, **(env or {})}
    command = [sys.executable, *python, "-m", *argv]
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


def compare(folder: Path, images: Path, **kwargs) -> Path:
    """A comparison of one row, which starts a search and a training; returns its run folder."""
    flags = ["--preset=smoke", "--methods=vinnas", "--seeds=1", f"--dataset=folder:{images}"]
    flags += [f"--search={' '.join(SEARCH)}", f"--train={' '.join(TRAIN)}", f"--run_dir={CLASSES[0]}"]
    done = run(folder, "vinnas_tf.compare", *flags, **kwargs)
    logs = [path.read_text(encoding="utf-8") for path in folder.rglob("*.log")]
    assert done.returncode == 0, (done.stderr.decode(), *logs)
    assert done.stderr == b""
    assert not [line for log in logs for line in log.splitlines() if "warning" in line.lower()]
    return folder / CLASSES[0]


@pytest.fixture(scope="module")
def plain(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compare(tmp_path_factory.mktemp("plain"), images)


def test_an_environment_of_others_changes_no_figure_and_no_picture(plain, images, tmp_path):
    (tmp_path / "keras.json").write_text(
        json.dumps({"floatx": "float16", "epsilon": 0.1, "backend": "torch", "image_data_format": "channels_first"})
    )
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nsavefig.dpi: 20\n")
    env = {
        "HOME": str(tmp_path / "keras.json" / "home"),  # Which can't be made.
        "KERAS_BACKEND": "jax",
        "KERAS_HOME": str(tmp_path),
        "KERAS_MAX_EPOCHS": "1",
        "KERAS_MAX_STEPS_PER_EPOCH": "1",
        "MATPLOTLIBRC": str(tmp_path / "matplotlibrc"),
        "MPLBACKEND": "module://matplotlib_inline.no_such_backend",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONIOENCODING": "ascii:strict",
        "PYTHONOPTIMIZE": "2",
        "PYTHONWARNINGS": "error",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_USE_LEGACY_KERAS": "1",
    }
    other = compare(tmp_path, images, env=env)
    figures = []
    for folder in (plain, other):
        with open(folder / "compare" / "comparison.csv", encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        figures.append([{name: text for name, text in row.items() if "seconds" not in name} for row in rows])
    assert figures[0] == figures[1] != []
    pictures = sorted(path.relative_to(plain) for path in plain.rglob("*.png"))
    assert {path.name for path in pictures} >= {"cells.png", "posterior.png", "threshold.png", "comparison.png"}
    for picture in pictures:
        assert (plain / picture).read_bytes() == (other / picture).read_bytes(), picture


def test_a_moved_run_folder_is_pruned_exported_and_verified_through_a_link(plain, images, tmp_path):
    moved, link, elsewhere = tmp_path / "moved", tmp_path / "link", tmp_path / "elsewhere"
    (plain / "compare" / "rows" / "vinnas-seed0").rename(moved)
    link.symlink_to(moved)
    elsewhere.mkdir()
    metrics = (moved / "train" / "metrics.csv").read_bytes()
    pruned = ["vinnas_tf.train", f"--run_dir={link}", "--preset=smoke", *TRAIN, "--log_noise_ratio_threshold=0"]
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
    assert b"12 test images" in done.stdout
    assert b"agreement" in done.stdout and b"no Keras network" not in done.stdout


def test_closed_streams_are_no_matter(tmp_path):
    search = [sys.executable, "-m", "vinnas_tf.search", "--method=random", "--cells=R", "--run_dir=r"]
    places = os.pathsep.join([str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONPATH": places, "TF_CPP_MIN_LOG_LEVEL": "0"}
    closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *search]
    assert subprocess.run(closed, cwd=tmp_path, env=env, check=False).returncode == 0
    assert Image.open(tmp_path / "r" / "search" / "cells.png").size > (200, 200)
    # Nothing that was meant for a stream got into a file.
    assert json.loads((tmp_path / "r" / "config.json").read_text(encoding="utf-8"))["stages"]
    assert (tmp_path / "r" / ".lock").read_bytes().isdigit()


def test_help_is_whole_without_docstrings(tmp_path):
    done = run(tmp_path, "vinnas_tf.compare", "--help", python=("-OO",))
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode()
    assert text.startswith("Compares search methods")
    assert "\nWhat is compared, on which data, and with how many seeds.\n" in text
    assert "None" not in text


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--dataset=folder:~no-such-user/pictures", "--run_dir=r"), b"there is no home folder ~no-such-user"),
        (("--dataset=digits",), b"can't write runs"),
    ],
    ids=["home folder", "no folder runs"],
)
def test_what_cannot_work_is_one_line(flags, says, tmp_path):
    (tmp_path / "runs").touch()  # No folder can be made in its place.
    done = run(tmp_path, "vinnas_tf.search", "--method=random", *flags)
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: ") and says in done.stderr
    assert done.stderr.count(b"\n") == 1
