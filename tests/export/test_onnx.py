"""The ONNX file, read back and run by onnxruntime alone."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.export.digits_run import Exported, command
from vinnas_tf.export.onnx import convert

REASON = "an ONNX file needs the packages of the extra onnx"


@pytest.fixture(scope="module")
def onnx_run(exported, tmp_path_factory) -> Exported:
    for name in ("onnx", "onnxruntime", "tf2onnx"):
        pytest.importorskip(name, reason=REASON)
    run_dir = tmp_path_factory.mktemp("onnx") / "run"
    shutil.copytree(exported.run_dir, run_dir, ignore=shutil.ignore_patterns("export"))
    done = command("vinnas_tf.export", f"--run_dir={run_dir}", "--formats=onnx", "--overwrite")
    assert done.returncode == 0, done.stdout + done.stderr
    return Exported(run_dir, done.stdout)


def test_a_process_without_tensorflow_gets_the_networks_answers(onnx_run, trained, tmp_path):
    np.save(tmp_path / "images.npy", trained.test.images)
    program = f"""
import sys
import numpy as np
import onnxruntime
session = onnxruntime.InferenceSession({str(onnx_run.folder / "onnx" / "model.onnx")!r})
images = np.load("images.npy").astype(np.float32)
assert [(image.name, image.type, image.shape[1:]) for image in session.get_inputs()] == [
    ("image", "tensor(float)", [8, 8, 1])
]
for batch in (1, 7, len(images)):
    probabilities, label_id = session.run(["probabilities", "label_id"], {{"image": images[:batch]}})
np.savez("answers.npz", probabilities=probabilities, label_id=label_id)
assert not {{"tensorflow", "keras", "vinnas_tf"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    logits = trained.sparse.predict(trained.test.images.astype(np.float32), verbose=0)
    answers = np.load(tmp_path / "answers.npz")
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(answers["probabilities"], expected, atol=1e-5)
    np.testing.assert_array_equal(answers["label_id"], logits.argmax(axis=1))
    assert answers["label_id"].dtype == np.int32


def test_it_is_a_valid_file_that_names_the_classes(onnx_run, trained):
    import onnx

    model = onnx.load(onnx_run.folder / "onnx" / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    (entry,) = [entry for entry in model.metadata_props if entry.key == "class_names"]
    assert json.loads(entry.value) == list(trained.dataset.class_names)


def test_it_is_proven_and_told_like_the_other_files(onnx_run, trained):
    (entry,) = onnx_run.manifest["files"].values()
    assert entry["figures"]["images"] == len(trained.test)
    assert entry["figures"]["agreement"] >= 0.999
    assert entry["figures"]["latency"].keys() == {"1", "2"}
    assert entry["inputs"]["image"] == {"dtype": "float32", "shape": [None, 8, 8, 1], "range": [0, 255]}
    assert any(line.startswith("onnx/model.onnx ") for line in onnx_run.printed.splitlines())
    done = command("vinnas_tf.export.verify", onnx_run.folder / "onnx" / "model.onnx", "--dataset=digits")
    assert done.returncode == 0, done.stderr
    assert f"{entry['figures']['accuracy']:.2%}" in done.stdout


def test_another_process_writes_the_same_bytes(onnx_run, trained):
    """The export ran in a process of its own; this one converts again."""
    written = (onnx_run.folder / "onnx" / "model.onnx").read_bytes()
    assert convert(trained.sparse, trained.dataset.class_names) == written


def test_images_of_another_size_and_a_part_of_a_file_are_told(onnx_run, tmp_path):
    file = shutil.copy(onnx_run.folder / "onnx" / "model.onnx", tmp_path)
    done = command("vinnas_tf.export.verify", file, "--dataset=digits", "--image_size=16")
    assert done.returncode == 2
    assert "takes images of 8 x 8 x 1 " in done.stderr
    content = (tmp_path / "model.onnx").read_bytes()
    (tmp_path / "model.onnx").write_bytes(content[: len(content) // 2])
    done = command("vinnas_tf.export.verify", file, "--dataset=digits")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "model.onnx can't be run" in done.stderr


def test_without_the_packages_one_line_says_what_to_install(exported, tmp_path):
    """In a process that finds no onnxruntime, as where it is not installed."""
    run_dir = shutil.copytree(exported.run_dir, tmp_path / "run", ignore=shutil.ignore_patterns("export"))
    config = (run_dir / "config.json").read_text()
    program = "import sys\nsys.modules['onnxruntime'] = None\nfrom vinnas_tf.flags import run_cli\n"
    program += "from vinnas_tf.export.__main__ import main\nrun_cli(main)\n"
    flags = [f"--run_dir={run_dir}", "--formats=tflite,onnx", "--overwrite"]
    done = subprocess.run([sys.executable, "-c", program, *flags], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "onnxruntime: pip install tf2onnx onnx onnxruntime" in done.stderr.splitlines()[-1]
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert (run_dir / "config.json").read_text() == config
    assert not (run_dir / "export").exists()
