"""A genotype trained on photographs that are streamed, killed and resumed."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.photographs import write_photographs
from tests.integration.killing import kill_in_epoch
from vinnas_tf.architecture.genotype import Edge, Genotype

# A command with another limit of streaming, for a set that takes seconds.
STREAMING = """
import runpy, sys
import vinnas_tf.run.startup
from vinnas_tf.data import streamed
streamed.LEAST_BYTES = 0
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
CLASSES = 100


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    write_photographs(folder, 2 * CLASSES, CLASSES, 224)  # The network sees 64 pixels of them.
    return folder


def command(photographs: Path, run_dir: Path) -> list[str]:
    genotype = run_dir.parent / "found.json"
    cell = (Edge(2, 1, "sep_conv_3x3"), Edge(2, 0, "skip"))
    Genotype(1, {"normal": cell, "reduction": cell}).save(genotype)
    return [
        sys.executable, "-u", "-c", STREAMING, "vinnas_tf.train", "--preset=smoke", f"--genotype={genotype}",
        f"--dataset=folder:{photographs}", "--data_fraction=1", "--image_size=64", "--framing=middle",
        "--augment=resized_crop,jitter,flip", "--cells=NR", "--channels=4", "--stem_stride=2", "--epochs=2",
        "--batch_size=64", "--held_out=0", "--novariational", f"--run_dir={run_dir}",
    ]  # fmt: skip


@pytest.mark.cpu
def test_a_streamed_training_killed_and_resumed_ends_as_if_it_had_not_been(photographs: Path, tmp_path: Path) -> None:
    results, printed = [], []
    for name, killed in (("whole", False), ("killed", True)):
        start = command(photographs, tmp_path / name)
        if killed:
            kill_in_epoch(start, 1)
        done = subprocess.run(start, capture_output=True, text=True, timeout=900, check=False)
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
        results.append(json.loads((tmp_path / name / "train" / "result.json").read_text()))
    assert all("read from files as they are needed" in text for text in printed)
    assert "Resumes after epoch 1" in printed[1] and "Resumes" not in printed[0]
    whole, resumed = results
    varies = ("network_sha256", "dense_network_sha256", "train_seconds")  # A .keras file holds the date.
    assert {k: v for k, v in resumed.items() if k not in varies} == {k: v for k, v in whole.items() if k not in varies}
    columns = ("cross_entropy", "accuracy")
    metrics = [
        np.genfromtxt(tmp_path / name / "train" / "metrics.csv", delimiter=",", names=True)[list(columns)]
        for name in ("whole", "killed")
    ]
    assert metrics[0].tolist() == metrics[1].tolist() and len(metrics[0]) == 2
    assert whole["preparation"]["framing"] == "middle" and len(whole["class_names"]) == CLASSES
    record = json.loads((tmp_path / "killed" / "config.json").read_text())["stages"]["train"]
    assert record["settings"]["augment"] == ["resized_crop", "jitter", "flip"]
