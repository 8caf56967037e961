"""The command from flags to an exported network that is proven, and what it refuses."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from vinnas_tf.compress.__main__ import main
from vinnas_tf.config import DataConfig
from vinnas_tf.data.images import load_test
from vinnas_tf.errors import UserError
from vinnas_tf.export.__main__ import main as export
from vinnas_tf.export.source import read_finished
from vinnas_tf.run.folder import RunDir

FLAGS = [
    *("--network=lenet_300_100", "--dense_epochs=8", "--epochs=3", "--fine_tuning_epochs=2", "--batch_size=64"),
    *("--penalties=1e-4,3e-3", "--max_accuracy_loss=0.1", "--learning_rate=0.05", "--seed=3"),
]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with a finished compression of a network that was trained on the digits."""
    path = tmp_path_factory.mktemp("compressed") / "run"
    main([*FLAGS, f"--run_dir={path}"])
    return path


def test_it_leaves_a_smaller_network_and_all_that_is_known_of_it(run_dir: Path) -> None:
    folder = run_dir / "compress"
    result = json.loads((folder / "result.json").read_text())
    test = load_test(DataConfig())
    for name, file in (("stripped", "network.keras"), ("dense", "network_dense.keras")):
        network = keras.models.load_model(folder / file)
        accuracy = np.mean(network(test.images.astype("float32")).numpy().argmax(axis=1) == test.labels)
        assert result["test"][name]["accuracy"] == pytest.approx(accuracy, abs=1.5 / len(test))
        assert {type(layer).__module__.split(".")[0] for layer in network.layers} == {"keras"}
    left = keras.models.load_model(folder / "network.keras").count_params()
    assert result["params_stored"] < result["params_dense"] == 64 * 300 + 300 + 300 * 100 + 100 + 1010
    assert left == pytest.approx(result["params_stored"], abs=10)  # Those of normalisation are none.
    assert result["test_images_learnt_from"] == 0 and result["stripping_error"] < 1e-4
    assert "within max_accuracy_loss=0.1" in result["chosen"] or "no budget bounds it" in result["chosen"]
    described = json.loads((folder / "compression.json").read_text())
    assert [one["layer"] for one in described["layers"]] == ["linear_300", "linear_100", "classifier"]
    assert described["penalty"] == result["penalty"]
    for name in ("curve.png", "units.png", "confusion.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    header = (folder / "metrics.csv").read_text().splitlines()[0].split(",")
    assert header[:2] == ["fine_tuning", "epoch"] and "groups_kept" in header


def test_a_finished_one_is_told_and_another_budget_chooses_again(run_dir: Path, capsys) -> None:
    main([*FLAGS, f"--run_dir={run_dir}"])
    assert "is compressed: its figures are in" in capsys.readouterr().out
    smallest = min(float(line.split(",")[3]) for line in (run_dir / "compress" / "curve.csv").read_text().split()[1:])
    main([*FLAGS, "--max_accuracy_loss=0", f"--max_parameters={smallest:.0f}", f"--run_dir={run_dir}"])
    said = capsys.readouterr().out
    assert f"within --max_parameters={smallest:.0f}" in said.replace("within max_", "within --max_")
    assert json.loads((run_dir / "compress" / "result.json").read_text())["params_stored"] == smallest
    with pytest.raises(UserError, match="made with other settings: epochs 3 -> 4"):
        main([*FLAGS, "--epochs=4", f"--run_dir={run_dir}"])


def test_the_export_takes_and_proves_it(run_dir: Path, capsys) -> None:
    read = read_finished(run_dir)
    assert read.stage == "compress" and read.source.unpruned is not None
    assert read.source.origin["compression"]["groups"] == "input"
    export([f"--run_dir={run_dir}", "--formats=tflite"])
    manifest = json.loads((run_dir / "export" / "manifest.json").read_text())
    assert manifest["stage"] == "compress"
    figures = manifest["files"]["tflite/float32.tflite"]["figures"]
    assert figures["failures"] == [] and figures["agreement"] >= 0.999
    result = json.loads((run_dir / "compress" / "result.json").read_text())
    assert figures["accuracy"] == pytest.approx(result["test"]["stripped"]["accuracy"], abs=0.003)
    assert (run_dir / "export" / "tflite" / "float32.tflite").stat().st_size <= result["bytes"]["stripped"]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ([], "nothing to compress: name a trained run folder with run_dir=..., or a network with network=..."),
        (["--network=lenet"], "unknown network=lenet: did you mean lenet_5"),
        (["--network=lenet_5", "--run_dir=RUN"], "lenet_5 needs images of at least 16 pixels a side, got 8"),
        (["--network=missing.keras"], "can't read missing.keras: No such file"),
        (["--run_dir=RUN"], "has no finished train: run python -m vinnas_tf.train --run_dir="),
        (["--network=lenet_5", "--penalties=0"], "penalties must be one number or more above 0, each once"),
        (["--network=lenet_5", "--penalties=1e-4,x"], "expected finite numbers separated by commas"),
        (["--network=lenet_5", "--groups=channel"], "groups must be input, output, filter or position, got 'channel'"),
        (["--network=lenet_5", "--determined=1"], "determined must lie in [0, 1), got 1.0"),
    ],
)
def test_what_it_can_tell_at_once_it_refuses(flags: list[str], says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        main([flag.replace("RUN", str(tmp_path / "run")) for flag in flags])
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_with_a_network_of_its_own_is_refused(tmp_path: Path) -> None:
    with RunDir(tmp_path, stage="train", settings=[DataConfig()], data_fingerprint="") as run:
        run.file("network.keras").write_bytes(b"")
    with pytest.raises(UserError, match="holds a network of its own, .*: leave network=lenet_5 out to compress that"):
        main(["--network=lenet_5", "--dataset=digits", f"--run_dir={tmp_path}"])
