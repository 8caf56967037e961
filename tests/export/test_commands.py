"""Both commands as a person meets them: what they write, print and answer, and how they end."""

import json
import re
import shutil

import keras
import numpy as np
import pytest

from tests.export.digits_run import Trained, command, write_run
from vinnas_tf.data.image_set import fingerprint
from vinnas_tf.export.source import read_finished
from vinnas_tf.run.digest import sha256_of

# Equal answers, at least, and accuracy lost, at most, as docs/guide/export.md promises them.
BARS = {
    "saved_model/1": (0.999, 0.002),
    "tflite/float32.tflite": (0.999, 0.002),
    "tflite/float16.tflite": (0.995, 0.002),
    "tflite/dynamic_int8.tflite": (0.98, 0.01),
    "tflite/full_int8.tflite": (0.98, 0.01),
}


def test_the_export_writes_all_that_it_promises(exported, trained):
    assert {entry.name for entry in exported.folder.iterdir()} == {"saved_model", "tflite", "manifest.json", "finished"}
    manifest = exported.manifest
    assert list(manifest["files"]) == list(BARS)
    logits = trained.sparse.predict(trained.test.images.astype(np.float32), verbose=0)
    accuracy = np.mean(logits.argmax(axis=1) == trained.test.labels)
    of_test = {"images": len(trained.test), "fingerprint": fingerprint([trained.test]), "learnt_from": 0}
    assert manifest["test"] == {**of_test, "accuracy": accuracy}
    for name, entry in manifest["files"].items():
        assert entry["sha256"] == sha256_of(exported.folder / name)
        assert (exported.folder / entry["labels"]).read_text().split() == manifest["class_names"]
        figures = entry["figures"]
        agreement, loss = BARS[name]
        missed = [figures["agreement"] < agreement, accuracy - figures["accuracy"] > loss].count(True)
        assert len(figures["failures"]) == missed
        # Rounding in the training of so small a network decides whether eight bits do for it, and about single images:
        # one is more than 0.2 points already.
        if name in ("saved_model/1", "tflite/float32.tflite"):
            assert missed == 0
        elif name != "tflite/full_int8.tflite":
            assert figures["agreement"] >= agreement
            assert accuracy - figures["accuracy"] <= max(loss, 1.01 / len(trained.test))
        assert figures["images"] == len(trained.test)
        assert figures["latency"].keys() == {"1", "2"}
        assert all(0 < times["median_ms"] <= times["p95_ms"] for times in figures["latency"].values())
    assert set(manifest["baselines"]) == {
        "saved_model/dense", "saved_model/unpruned", "tflite/unpruned",
    }  # fmt: skip


def test_the_manifest_says_where_the_files_come_from(exported, trained):
    manifest = exported.manifest
    training = read_finished(exported.run_dir)
    assert manifest["genotype"] == json.loads((exported.run_dir / "train" / "genotype.json").read_text())
    assert manifest["genotype_sha256"] == sha256_of(exported.run_dir / "train" / "genotype.json")
    assert manifest["network_sha256"] == sha256_of(exported.run_dir / "train" / "network.keras")
    assert manifest["run"] == training.record
    assert manifest["run"]["settings"]["dataset"] == "digits"
    assert {"tensorflow", "keras", "ai-edge-litert", "vinnas_tf"} <= manifest["versions"].keys()
    assert manifest["image"]["shape"] == [8, 8, 1] and manifest["image"]["range"] == [0, 255]


def test_the_table_fits_80_columns(exported):
    lines = exported.printed.splitlines()
    assert max(len(line) for line in lines if not line.startswith("Written to")) <= 80
    assert any(line.startswith("tflite/full_int8") for line in lines)


def test_each_step_tells_how_far_the_export_is(exported):
    steps = re.findall(r"^ *(\d+)/(\d+)  (\S+) .*about (\d+:\d\d) left$", exported.printed, re.MULTILINE)
    assert [int(number) for number, *_ in steps] == list(range(1, len(steps) + 1))
    assert {int(total) for _, total, *_ in steps} == {len(steps)}
    assert {name for _, _, name, _ in steps} == {
        *exported.manifest["files"], *exported.manifest["baselines"], "saved_model", "tflite",
    }  # fmt: skip
    assert steps[-1][-1] == "0:00"


def test_a_finished_export_says_so_and_is_left_alone(exported):
    before = {path: path.stat().st_mtime_ns for path in exported.folder.rglob("*")}
    done = command("vinnas_tf.export", f"--run_dir={exported.run_dir}")
    assert done.returncode == int("FAILED" in exported.printed), done.stderr
    assert "is finished" in done.stdout
    assert done.stdout.splitlines()[1:] == [
        line for line in exported.printed.splitlines() if not re.search(r"about \d+:\d\d left$", line)
    ]
    assert {path: path.stat().st_mtime_ns for path in exported.folder.rglob("*")} == before


def test_other_formats_are_refused_without_overwrite(exported):
    done = command("vinnas_tf.export", f"--run_dir={exported.run_dir}", "--formats=tflite")
    assert done.returncode == 2
    assert 'formats ["saved_model", "tflite"] -> ["tflite"]' in done.stderr


@pytest.mark.parametrize("name", ["saved_model/1", "tflite/full_int8.tflite"])
def test_a_file_is_verified_again(name, exported):
    done = command("vinnas_tf.export.verify", exported.folder / name, "--dataset=digits")
    figures = exported.manifest["files"][name]["figures"]
    assert done.returncode == bool(figures["failures"]), done.stdout + done.stderr
    (row,) = [line for line in done.stdout.splitlines() if line.startswith(name.removesuffix(".tflite"))]
    assert f"{figures['accuracy']:.2%}" in row
    assert f"{figures['agreement']:.2%}" in row


def test_a_file_alone_is_verified_too(exported, tmp_path):
    file = shutil.copy(exported.folder / "tflite" / "float32.tflite", tmp_path)
    done = command("vinnas_tf.export.verify", file, "--dataset=digits")
    assert done.returncode == 0, done.stderr
    assert "no Keras network to compare with" in done.stdout


def test_a_file_alone_names_its_image_size_beside_that_of_other_images(exported, tmp_path):
    file = shutil.copy(exported.folder / "tflite" / "float32.tflite", tmp_path)
    done = command("vinnas_tf.export.verify", file, "--dataset=digits", "--image_size=16")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "takes images of 8 x 8 x 1 " in done.stderr
    assert "--image_size=16 is another size" in done.stderr


def test_a_file_of_another_network_fails(exported, tmp_path):
    """Held against the network before pruning, whose answers differ."""
    file = exported.folder / "tflite" / "float32.tflite"
    other = exported.run_dir / "train" / "network_dense.keras"
    done = command("vinnas_tf.export.verify", file, "--dataset=digits", f"--network={other}")
    assert done.returncode == 1, done.stderr
    assert "FAILED tflite/float32.tflite: top-1 agreement" in done.stdout


@pytest.mark.parametrize(
    ("change", "flags", "message"),
    [
        (lambda content: content[:-1000], [], "is not the file that"),
        (lambda content: b"", [], "is not the file that"),
        (None, ["--dataset=no_such_set"], "no_such_set"),
        (None, ["--image_size=16"], "takes images of"),
        (None, ["--network=no.keras"], "no.keras is missing"),
    ],
)
def test_what_cannot_be_verified_is_told_in_one_line(change, flags, message, exported, tmp_path):
    run_dir = shutil.copytree(exported.run_dir, tmp_path / "run")
    file = run_dir / "export" / "tflite" / "float32.tflite"
    if change:
        file.write_bytes(change(file.read_bytes()))
    done = command("vinnas_tf.export.verify", file, *flags)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_file_that_fails_its_bar_does_not_keep_the_others_from_being_written(trained, tmp_path):
    """Probabilities that differ by less than the steps of an 8-bit one."""
    images = keras.Input((8, 8, 1))
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(images))
    small = keras.initializers.RandomNormal(stddev=1e-3, seed=0)
    weak = keras.Model(images, keras.layers.Dense(10, kernel_initializer=small)(features))
    write_run(tmp_path, Trained(weak, weak, trained.dataset, trained.test))
    done = command("vinnas_tf.export", f"--run_dir={tmp_path}", "--formats=tflite")
    assert done.returncode == 1, done.stderr
    assert "FAILED tflite/full_int8.tflite: top-1 agreement" in done.stdout
    assert "so train it longer" in " ".join(done.stdout.split())
    assert max(len(line) for line in done.stdout.splitlines() if not line.startswith("Written to")) <= 80
    assert {path.name for path in (tmp_path / "export" / "tflite").iterdir()} == {
        "float32.tflite", "float16.tflite", "dynamic_int8.tflite", "full_int8.tflite", "labels.txt",
    }  # fmt: skip
    again = command("vinnas_tf.export", f"--run_dir={tmp_path}", "--formats=tflite")
    assert again.returncode == 1
    assert "FAILED" in again.stdout


def test_images_other_than_those_of_the_training_are_refused(exported, tmp_path):
    for name in ("config.json", "train"):
        origin = exported.run_dir / name
        (shutil.copytree if origin.is_dir() else shutil.copy)(origin, tmp_path / name)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["stages"]["export"]  # As before the export.
    config["stages"]["train"]["data_fingerprint"] = "0" * 64
    del config["sha256"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    done = command("vinnas_tf.export", f"--run_dir={tmp_path}")
    assert done.returncode == 2
    assert "not those that the network was trained on" in done.stderr
    assert not (tmp_path / "export" / "manifest.json").exists()
