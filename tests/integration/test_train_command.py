"""The train command as a person meets it: a real run, killed and resumed; its files read back without our code."""

import csv
import hashlib
import io
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from PIL import Image

from tests.integration.killing import kill_in_epoch
from vinnas_tf.config import DataConfig
from vinnas_tf.data.images import load_test

GENOTYPE = {
    "version": 1,
    "states": 2,
    "normal": [
        {"target": 2, "source": 0, "primitive": "skip"},
        {"target": 2, "source": 1, "primitive": "sep_conv_3x3"},
        {"target": 3, "source": 1, "primitive": "max_pool_3x3"},
    ],
    "reduction": [
        {"target": 2, "source": 1, "primitive": "dil_conv_3x3"},
        {"target": 3, "source": 0, "primitive": "conv_7x1_1x7"},
        {"target": 3, "source": 2, "primitive": "skip"},
    ],
}
SETTINGS = [
    "--preset=smoke", "--data_fraction=1", "--cells=NR", "--channels=6", "--epochs=5", "--gamma_start_epoch=1",
    "--gamma_end_epoch=3", "--gamma_weights=0.5", "--log_variance_rate=20", "--augment=crop", "--drop_path=0.1",
    "--fine_tuning_epochs=2", "--seed=3",
]  # fmt: skip


@pytest.fixture(scope="module")
def genotype(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("genotype") / "found.json"
    path.write_text(json.dumps(GENOTYPE))
    return path


def command(run_dir: Path, *flags: str) -> list[str]:
    return [sys.executable, "-u", "-m", "vinnas_tf.train", *SETTINGS, f"--run_dir={run_dir}", *flags]


def run(run_dir: Path, *flags: str) -> subprocess.CompletedProcess:
    return subprocess.run(command(run_dir, *flags), capture_output=True, text=True, timeout=900, check=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, genotype: Path) -> tuple[Path, str]:
    """An uninterrupted run's folder, and what it printed."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    result = run(folder, f"--genotype={genotype}")
    assert result.returncode == 0, result.stderr
    return folder, result.stdout


def result_of(folder: Path) -> dict:
    return json.loads((folder / "train" / "result.json").read_text())


def arrays_in(path: Path) -> dict[str, np.ndarray]:
    """Every array of a .keras file, by its name in the archive's HDF5."""
    found: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def weights_below(checkpoints: Path, threshold: float) -> int:
    """The weights whose log(variance / mean^2) is below `threshold`, counted from the last epoch's checkpoint.

    Its arrays come in the order of the variables: each kernel's mean and log-variance, then Adam's two moments of each.
    """
    latest = max(checkpoints.iterdir(), key=lambda path: int(path.stem.removeprefix("epoch-")))
    with np.load(latest) as file:
        arrays = [file[name] for name in file.files if name.startswith("variable/")]
    matrices = [array for array in arrays if array.ndim >= 2]
    trained = matrices[: len(matrices) // 3]
    return sum(
        int(np.count_nonzero(log_variance - np.log(mean**2) < threshold))
        for mean, log_variance in zip(trained[::2], trained[1::2], strict=True)
    )


def test_the_network_is_plain_keras_and_does_what_the_report_says(finished: tuple[Path, str], tmp_path: Path) -> None:
    """A process that knows nothing of this package loads it, feeds it raw test images, and gets what is reported."""
    test = load_test(DataConfig(dataset="digits"))
    np.savez(tmp_path / "test.npz", images=test.images, labels=test.labels)
    program = (
        "import sys, keras, numpy as np\n"
        "data = np.load(sys.argv[2])\n"
        "model = keras.saving.load_model(sys.argv[1])\n"
        "assert not any(name.startswith('vinnas_tf') for name in sys.modules)\n"
        "right = model.predict(data['images'].astype('float32'), verbose=0).argmax(axis=1) == data['labels']\n"
        "print(right.mean())\n"
    )
    output = subprocess.run(
        [sys.executable, "-c", program, finished[0] / "train" / "network.keras", tmp_path / "test.npz"],
        capture_output=True, text=True, check=True, cwd="/",
    ).stdout  # fmt: skip
    accuracy = result_of(finished[0])["test"]["stripped"]["accuracy"]
    assert float(output.split()[-1]) == pytest.approx(accuracy, abs=1e-9)
    assert accuracy > 0.8


def test_counts_recounted_from_the_saved_files(finished: tuple[Path, str]) -> None:
    result = result_of(finished[0])
    stored = {
        name: array
        for name, array in arrays_in(finished[0] / "train" / "network.keras").items()
        if not name.startswith("_") and ("batch_normalization" not in name or name[-1] in "01")
    }
    assert sum(array.size for array in stored.values()) == result["params_stored"]
    assert sum(int(np.count_nonzero(array)) for array in stored.values()) == result["params_stored_nonzero"]
    c, w = 6, 12
    kernels = (
        9 * c + 4 * c * c // 2  # stem; preprocessing of the normal cell's inputs, both of c channels
        + 9 * c + c * c  # sep_conv_3x3
        + c * w + 2 * c * w  # preprocessing of the reduction cell's: the stem, and two states
        + 9 * w + w * w  # dil_conv_3x3
        + 2 * 7 * w * w  # conv_7x1_1x7
        + 2 * w * 10  # classifier
    )  # fmt: skip
    # Scales and shifts: stem, two preprocessings, sep_conv, max_pool; two preprocessings, dil_conv, conv_7x1; biases.
    assert result["weights_dense"] == kernels
    assert result["params_dense"] == kernels + 2 * (5 * c + 4 * w) + 10
    assert result["weights_nonzero"] < result["weights_dense"]
    assert sum(layer["params_nonzero"] for layer in result["layers"].values()) == result["params_nonzero"]


def test_the_last_epoch_shows_what_the_table_shows(finished: tuple[Path, str]) -> None:
    for metrics, network in (("metrics.csv", "dense"), ("fine_tuning/3_2/metrics.csv", "fine_tuned")):
        rows = np.genfromtxt(finished[0] / "train" / metrics, delimiter=",", names=True)
        expected = result_of(finished[0])["held_out"][network]
        assert rows["held_out_accuracy"][-1] == pytest.approx(expected["accuracy"], abs=1 / 300)
        assert rows["held_out_loss"][-1] == pytest.approx(expected["nll"], rel=1e-3)


def test_classes_are_counted_and_confused_in_every_part(finished: tuple[Path, str]) -> None:
    result, folder = result_of(finished[0]), finished[0] / "train"
    with open(folder / "confusion.csv", encoding="utf-8", newline="") as file:
        (_, *columns), *rows = csv.reader(file)
    assert columns == [row[0] for row in rows] == result["class_names"]
    confusion = np.array([row[1:] for row in rows], int)
    stripped = result["test"]["stripped"]
    assert confusion.trace() / confusion.sum() == pytest.approx(stripped["accuracy"])
    np.testing.assert_allclose(confusion.diagonal() / confusion.sum(axis=1), stripped["recall"])
    counts = result["class_counts"]
    np.testing.assert_array_equal(counts["test"], np.bincount(load_test(DataConfig(dataset="digits")).labels))
    assert sum(counts["train"]) == result["train_images"]
    assert sum(counts["held_out"]) == result["held_out"]["dense"]["images"]
    for name, recall in zip(result["class_names"], stripped["recall"], strict=True):
        assert any(line.split()[:1] == [name] and f"{recall:.2%}" in line for line in finished[1].splitlines())


def test_the_time_is_estimated_and_what_follows_the_epochs_is_told(finished: tuple[Path, str]) -> None:
    lines = finished[1].splitlines()
    held_out = result_of(finished[0])["held_out"]["dense"]["images"]
    told = [
        next(number for number, line in enumerate(lines) if line.startswith(begin))
        for begin in (
            "Starts: ", "Rough estimate, ", "  1/5 ", "  5/5 ",
            f"Prunes at 15 thresholds, on {held_out} held-out images",
            "threshold 3 in use", "Fine-tunes", f"Evaluates 4 networks on {held_out} held-out images",
            "Evaluates 4 networks on 359 test images",
        )
    ]  # fmt: skip
    assert told == sorted(told)


def test_stripping_is_exact_and_says_so(finished: tuple[Path, str]) -> None:
    result = result_of(finished[0])
    assert result["stripping_error"] <= 1e-5
    for figure in ("accuracy", "nll", "ece"):
        assert result["test"]["stripped"][figure] == pytest.approx(result["test"]["fine_tuned"][figure], abs=1e-5)


def test_fine_tuning_is_reported_apart(finished: tuple[Path, str]) -> None:
    result, folder = result_of(finished[0]), finished[0] / "train"
    rows = np.genfromtxt(folder / "threshold.csv", delimiter=",", names=True)
    (before,) = rows["accuracy"][rows["threshold"] == 3]
    assert result["held_out"]["pruned"]["accuracy"] == pytest.approx(before)
    assert result["test"]["fine_tuned"]["nll"] < result["test"]["pruned"]["nll"]
    training, tuning = (
        np.genfromtxt(path, delimiter=",", names=True)
        for path in (folder / "metrics.csv", folder / "fine_tuning" / "3_2" / "metrics.csv")
    )
    assert (len(training), len(tuning)) == (5, 2)
    assert result["train_seconds"] == pytest.approx(training["seconds"].sum() + tuning["seconds"].sum(), abs=0.1)


def test_the_hashes_are_the_files(finished: tuple[Path, str]) -> None:
    folder, result = finished[0] / "train", result_of(finished[0])
    for key, name in (
        ("genotype_sha256", "genotype.json"),
        ("network_sha256", "network.keras"),
        ("dense_network_sha256", "network_dense.keras"),
    ):
        assert result[key] == hashlib.sha256((folder / name).read_bytes()).hexdigest()


def test_the_curve_goes_through_the_threshold_in_use(finished: tuple[Path, str]) -> None:
    rows = np.genfromtxt(finished[0] / "train" / "threshold.csv", delimiter=",", names=True)
    assert list(rows["threshold"]) == sorted(rows["threshold"], reverse=True)
    assert np.all(np.diff(rows["params_nonzero"]) <= 0)
    (at_three,) = rows["params_nonzero"][rows["threshold"] == 3]
    assert int(at_three) == result_of(finished[0])["params_nonzero"]
    images = result_of(finished[0])["held_out"]["dense"]["images"]
    binomial = np.sqrt(rows["accuracy"] * (1 - rows["accuracy"]) / images)
    np.testing.assert_allclose(rows["standard_error"], np.maximum(binomial, 1 / images))
    for picture in ("threshold.png", "sparsity.png", "confusion.png"):
        assert min(Image.open(finished[0] / "train" / picture).size) > 200


def test_the_terminal_shows_80_columns_and_no_more(finished: tuple[Path, str]) -> None:
    lines = [line for line in finished[1].splitlines() if "/whole" not in line and "genotype=" not in line]
    assert max(len(line) for line in lines) <= 80
    result = result_of(finished[0])
    (line,) = (line for line in lines if line.startswith("parameters not 0"))
    assert line.split()[-2:] == [f"{result[name]:,}" for name in ("params_nonzero", "params_stored_nonzero")]


@pytest.mark.cpu
def test_killed_in_training_and_in_fine_tuning_it_ends_as_if_it_had_not_been(
    finished: tuple[Path, str], genotype: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "killed"
    kill_in_epoch(command(folder, f"--genotype={genotype}"), 2)
    kill_in_epoch(command(folder, f"--genotype={genotype}"), 1, epochs="2 ")
    again = run(folder, f"--genotype={genotype}")
    assert again.returncode == 0, again.stderr
    assert "Resumes after epoch 1" in again.stdout  # of fine-tuning
    varies = ("network_sha256", "dense_network_sha256", "train_seconds")  # A .keras file holds the date.
    whole, killed = result_of(finished[0]), result_of(folder)
    assert {k: v for k, v in killed.items() if k not in varies} == {k: v for k, v in whole.items() if k not in varies}
    for name in ("network.keras", "network_dense.keras"):
        mine, expected = (arrays_in(path / "train" / name) for path in (folder, finished[0]))
        assert mine.keys() == expected.keys()
        for key in mine:
            np.testing.assert_array_equal(mine[key], expected[key])
    assert (folder / "train" / "threshold.csv").read_bytes() == (finished[0] / "train" / "threshold.csv").read_bytes()


def test_a_finished_training_says_so_and_is_left_alone(finished: tuple[Path, str], genotype: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (finished[0] / "train").rglob("*")}
    again = run(finished[0], f"--genotype={genotype}")
    assert again.returncode == 0
    assert "is trained" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in (finished[0] / "train").rglob("*")} == before


def test_another_threshold_prunes_again_without_training_again(
    finished: tuple[Path, str], genotype: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder)
    again = run(folder, f"--genotype={genotype}", "--log_noise_ratio_threshold=-1", "--fine_tuning_epochs=0")
    assert again.returncode == 0, again.stderr
    assert not [line for line in again.stdout.splitlines() if line.lstrip().startswith("1/5")]
    rows = np.genfromtxt(finished[0] / "train" / "threshold.csv", delimiter=",", names=True)
    (expected,) = rows["params_nonzero"][rows["threshold"] == -1]
    result = result_of(folder)
    assert result["params_nonzero"] == int(expected) < result_of(finished[0])["params_nonzero"]
    (accuracy,) = rows["accuracy"][rows["threshold"] == -1]
    assert result["held_out"]["pruned"]["accuracy"] == pytest.approx(accuracy)
    settings = json.loads((folder / "config.json").read_text())["stages"]["train"]["settings"]
    assert settings["log_noise_ratio_threshold"] == -1
    assert result["weights_nonzero"] == weights_below(folder / "train" / "checkpoints", -1)
    # Scales, shifts and biases are never pruned, and are hardly ever zero by themselves.
    dense_others = result["params_dense"] - result["weights_dense"]
    assert result["params_nonzero"] - result["weights_nonzero"] == dense_others


def test_a_threshold_between_whole_numbers_is_a_point_of_the_curve(
    finished: tuple[Path, str], genotype: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder)
    again = run(folder, f"--genotype={genotype}", "--log_noise_ratio_threshold=-0.5", "--fine_tuning_epochs=0")
    assert again.returncode == 0, again.stderr
    rows = np.genfromtxt(folder / "train" / "threshold.csv", delimiter=",", names=True)
    assert list(rows["threshold"]) == sorted([*range(-6, 9), -0.5], reverse=True)
    (row,) = rows[rows["threshold"] == -0.5]
    result = result_of(folder)
    assert result["params_nonzero"] == int(row["params_nonzero"])
    assert result["held_out"]["pruned"]["accuracy"] == pytest.approx(row["accuracy"])
    assert result["weights_nonzero"] == weights_below(folder / "train" / "checkpoints", -0.5)


def test_a_training_as_the_papers_presets_ask_for_it(genotype: Path, tmp_path: Path) -> None:
    """No image held out, an auxiliary tower and drop path: the tower is gone from what is saved, counted and curved."""
    folder = tmp_path / "paper"
    flags = ["--held_out=0", "--auxiliary_weight=0.4", "--image_size=16", "--fine_tuning_epochs=0", "--epochs=4"]
    trained = run(folder, f"--genotype={genotype}", *flags)
    assert trained.returncode == 0, trained.stderr
    result = result_of(folder)
    assert "held_out" not in result
    assert result["train_images"] == 1438
    assert not [name for name in result["layers"] if "auxiliary" in name]
    assert not [name for name in arrays_in(folder / "train" / "network.keras") if "auxiliary" in name]
    network = keras.saving.load_model(folder / "train" / "network.keras")
    assert network.output_shape == (None, 10)
    assert result["stripping_error"] <= 1e-5
    rows = np.genfromtxt(folder / "train" / "threshold.csv", delimiter=",", names=True)
    (at_three,) = rows[rows["threshold"] == 3]
    assert int(at_three["params_nonzero"]) == result["params_nonzero"]
    assert at_three["accuracy"] > 0.5  # Of training images.
    assert "no threshold is recommended" in " ".join(trained.stdout.split())
    assert "in use" not in trained.stdout


def test_another_genotype_in_the_same_folder_is_refused(finished: tuple[Path, str], tmp_path: Path) -> None:
    other = json.loads(json.dumps(GENOTYPE))
    other["normal"][1]["primitive"] = "sep_conv_5x5"
    (tmp_path / "other.json").write_text(json.dumps(other))
    result = run(finished[0], f"--genotype={tmp_path / 'other.json'}")
    assert result.returncode == 2
    assert "genotype_sha256" in result.stderr


def test_a_cell_in_which_nothing_learns_is_told_before_it_is_trained(tmp_path: Path) -> None:
    idle = [{"target": 2, "source": 0, "primitive": "skip"}, {"target": 2, "source": 1, "primitive": "avg_pool_3x3"}]
    path = tmp_path / "idle.json"
    path.write_text(json.dumps({"version": 1, "states": 1, "normal": idle, "reduction": []}))
    printed = run(tmp_path / "run", f"--genotype={path}", "--cells=N", "--learning_rate=1e30").stdout
    assert "warning: nothing learns in the normal cell." in printed
    assert printed.index("warning") < printed.index("Starts: ")


def test_unfit_test_images_are_told_before_the_training(
    genotype: Path, unfit_test_images: Path, tmp_path: Path
) -> None:
    flags = [f"--dataset=folder:{unfit_test_images}", "--batch_size=2", "--held_out=0"]
    result = run(tmp_path / "run", f"--genotype={genotype}", *flags)
    assert result.returncode == 2
    assert "is 8 x 8" in result.stderr and "is 9 x 9 pixels; pass --image_size=8 " in result.stderr
    assert "Starts: " not in result.stdout


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "has no finished search"),
        (["--genotype=missing.json"], "can't read missing.json"),
        (["--genotype={genotype}", "--cells=RRRRR"], "halves images 5 times"),
        (["--genotype={genotype}", "--gamma_end_epoch=9"], "--gamma_end_epoch must be below --epochs=5"),
        (["--genotype={genotype}", "--class_weights=square"], "--class_weights must be none or balanced, got 'square'"),
        (["--genotype={genotype}", "--batch_size=5000"], "--batch_size=5000 is more than"),
        (["--genotype={genotype}", "--learning_rate=1e30"], "the loss is not finite in epoch"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(tmp_path: Path, genotype: Path, flags: list[str], message: str) -> None:
    result = run(tmp_path / "run", *(flag.format(genotype=genotype) for flag in flags))
    assert result.returncode == 2
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in errors[0]
    assert "Traceback" not in result.stderr
