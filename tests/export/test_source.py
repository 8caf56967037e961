"""A run folder that cannot be exported is refused in one line, before anything is written."""

import json
import shutil

import pytest

from tests.export.digits_run import command
from vinnas_tf.errors import UserError
from vinnas_tf.export.source import read_finished


@pytest.fixture
def run_dir(exported, tmp_path):
    """A copy of a trained run folder, to be spoilt."""
    for name in ("config.json", "train"):
        origin = exported.run_dir / name
        (shutil.copytree if origin.is_dir() else shutil.copy)(origin, tmp_path / name)
    return tmp_path


def test_a_finished_training_is_read(run_dir, trained):
    training = read_finished(run_dir)
    source = training.source
    assert source.class_names == trained.dataset.class_names
    assert source.image_shape == (8, 8, 1)
    assert training.data.dataset == source.dataset == "digits"
    for network, original in ((source.network, trained.sparse), (source.unpruned, trained.dense)):
        for weight, expected in zip(network.get_weights(), original.get_weights(), strict=True):
            assert (weight == expected).all()


def remove(path):
    path.unlink()


def cut_off(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def change_genotype(path):
    path.write_text(path.read_text().replace("max_pool_3x3", "avg_pool_3x3"))


def add_a_class(path):
    result = json.loads(path.read_text())
    path.write_text(json.dumps({**result, "class_names": [*result["class_names"], "ten"]}))


@pytest.mark.parametrize(
    ("file", "spoil", "message"),
    [
        ("config.json", remove, "no finished train"),
        ("train/finished", remove, "no finished train"),
        ("train/result.json", cut_off, "is not the file that the stage wrote"),
        ("train/result.json", add_a_class, "is not the file that the stage wrote"),
        ("train/network.keras", remove, "can't read .*network.keras"),
        ("train/network.keras", cut_off, "is not the file that the stage wrote"),
        ("train/network_dense.keras", remove, "can't read .*network_dense.keras"),
        ("train/network_dense.keras", cut_off, "is not the file that the stage wrote"),
        ("train/genotype.json", change_genotype, "is not the file that the stage wrote"),
        ("train/genotype.json", remove, "can't read .*genotype.json"),
    ],
)
def test_what_is_wrong_with_a_run_folder_is_told_in_one_line(file, spoil, message, run_dir):
    spoil(run_dir / file)
    with pytest.raises(UserError, match=message) as caught:
        read_finished(run_dir)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--run_dir is empty"),
        (["--run_dir=no/such/folder"], "has no finished train"),
        (["--run_dir=x", "--formats=coreml"], "--formats knows saved_model, tflite, onnx; got coreml"),
        (["--run_dir=x", "--formats="], "--formats must name one format or more"),
        (["--run_dir=x", "--format=tflite"], "did you mean --formats"),
        (["x"], "unexpected argument 'x'"),
    ],
)
def test_a_mistyped_command_ends_with_one_line(flags, message, capsys):
    from vinnas_tf.export.__main__ import main
    from vinnas_tf.flags import run_cli

    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr("sys.argv", ["export", *flags])
        run_cli(main)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_the_command_ends_with_code_2_and_no_traceback(run_dir):
    change_genotype(run_dir / "train" / "genotype.json")
    done = command("vinnas_tf.export", f"--run_dir={run_dir}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")
    assert not (run_dir / "export").exists()
