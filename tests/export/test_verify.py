"""Pictures that an exported file is verified on: those of its test part, new ones, and those that are refused."""

import shutil

import numpy as np
import pytest
from PIL import Image

from tests.export.digits_run import command
from vinnas_tf.errors import UserError
from vinnas_tf.export.verify import main as verify

FILE = "tflite/float32.tflite"


def write(images, folder, names, suffix="png"):
    """Pictures of the digits in a folder for each class; `names` are the classes'."""
    for index, (image, label) in enumerate(zip(images.images, images.labels, strict=True)):
        place = folder / names[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(place / f"{index:04}.{suffix}")
    return folder


def accuracy(printed):
    (row,) = [line for line in printed.splitlines() if line.startswith("tflite/float32")]
    return float(row.split()[3].rstrip("%"))


def on_one_line(printed):
    return " ".join(printed.split())


@pytest.fixture(scope="module")
def new_pictures(trained, tmp_path_factory):
    """Test images of the classes 4 to 9 alone, each changed in a corner that no digit reaches."""
    some = trained.test.take(np.flatnonzero(trained.test.labels > 3))
    images = some.images.copy()
    images[:, 0, 0, 0] ^= 1
    return write(type(some)(images, some.labels), tmp_path_factory.mktemp("new"), trained.dataset.class_names)


def test_new_pictures_of_some_classes_are_matched_by_name(exported, new_pictures, trained):
    done = command("vinnas_tf.export.verify", exported.folder / FILE, f"--dataset=folder:{new_pictures}")
    assert done.returncode == 0, done.stderr
    count = len(list(new_pictures.rglob("*.png")))
    assert f"All {count} pictures of {new_pictures} are new" in on_one_line(done.stdout)
    some = np.flatnonzero(trained.test.labels > 3)
    logits = trained.sparse.predict(trained.test.images[some].astype(np.float32), verbose=0)
    expected = 100 * (logits.argmax(axis=-1) == trained.test.labels[some]).mean()
    assert abs(accuracy(done.stdout) - expected) < 1.0  # The corner was changed by one level.


def test_pictures_that_the_network_learnt_from_are_left_out(exported, trained, tmp_path):
    everything = write(trained.test, tmp_path / "pictures", trained.dataset.class_names)
    learnt = trained.dataset.train.take(np.arange(100))
    write(learnt, everything / "1", [""] * 10, suffix="bmp")  # Under a wrong class and in another format.
    done = command("vinnas_tf.export.verify", exported.folder / FILE, f"--dataset=folder:{everything}")
    assert done.returncode == 0, done.stderr
    assert "learnt from 100, which are left out" in on_one_line(done.stdout)
    assert f"Of the others {len(trained.test)} are the training's test images and 0 are new" in on_one_line(done.stdout)
    assert accuracy(done.stdout) == round(100 * exported.manifest["test"]["accuracy"], 2)


def test_without_the_run_folder_it_is_said_that_nothing_is_known(exported, new_pictures, tmp_path):
    shutil.copytree(exported.folder, tmp_path / "export")
    done = command("vinnas_tf.export.verify", tmp_path / "export" / FILE, f"--dataset=folder:{new_pictures}")
    assert done.returncode == 0, done.stderr
    assert "can't be told whether the network learnt from some of them" in on_one_line(done.stdout)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--dataset=mnist"], "mnist is another data set"),
        (["--dataset=folder:{other}"], "cat is a class without training images; the classes are 0, 1"),
        (["--image_size=28"], "takes images of 8 x 8 x 1 (height x width x channels), and --image_size=28"),
    ],
)
def test_other_data_is_refused(flags, message, exported, new_pictures, tmp_path):
    (tmp_path / "cat").mkdir()
    shutil.copytree(new_pictures / "4", tmp_path / "4")
    flags = [flag.format(other=tmp_path) for flag in flags]
    done = command("vinnas_tf.export.verify", exported.folder / FILE, *flags)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr and done.stderr.count("\n") == 1


def test_a_network_that_was_changed_since_its_training_is_not_compared_with(exported, tmp_path):
    run_dir = tmp_path / "run"
    shutil.copytree(exported.run_dir, run_dir)
    network = run_dir / "train" / "network.keras"
    network.write_bytes(network.read_bytes()[:-1])
    with pytest.raises(UserError, match="network.keras is not the file that the stage wrote"):
        verify([str(run_dir / "export" / FILE)])


def test_a_lone_file_wants_to_be_told_its_images(exported, tmp_path):
    file = shutil.copy(exported.folder / FILE, tmp_path)
    done = command("vinnas_tf.export.verify", file)
    assert done.returncode == 2 and "name them with --dataset" in done.stderr
