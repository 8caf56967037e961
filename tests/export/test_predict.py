"""Pictures named as an app names them, and the manifest's words held against the pixels that they describe."""

import json
import shutil
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.export.digits_run import command
from vinnas_tf.data.picture import Preparation, decode, prepare
from vinnas_tf.export.interface import read_interface
from vinnas_tf.export.pixels import describe, preparation

FILE = "tflite/float32.tflite"
# What an app has loaded beside Python's own library, and nothing that pulls these in.
HEAVY = {"tensorflow", "keras", "absl", "matplotlib", "scipy", "sklearn", "pandas", "psutil", "tensorflow_datasets"}


@pytest.fixture(scope="module")
def pictures(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    files = []
    for index in range(3):
        files.append(folder / f"{index}.png")
        Image.fromarray(trained.test.images[index, ..., 0]).save(files[-1])
    return files


@pytest.mark.parametrize("file", [FILE, "tflite/full_int8.tflite"])
def test_the_three_most_probable_classes_are_named(file, exported, trained, pictures):
    done = command("vinnas_tf.export.predict", exported.folder / file, *pictures)
    assert (done.returncode, done.stderr) == (0, "")
    logits = trained.sparse.predict(trained.test.images[:3].astype(np.float32), verbose=0)
    exact = np.exp(logits - logits.max(axis=1, keepdims=True))
    exact /= exact.sum(axis=1, keepdims=True)
    for line, picture, expected in zip(done.stdout.splitlines(), pictures, exact, strict=True):
        name, answer = line.split(": ")
        assert name == str(picture)
        named = [part.split(" ") for part in answer.split(", ")]
        assert len(named) == 3
        assert [label for label, _ in named][0] == str(expected.argmax())
        for label, share in named:
            assert abs(float(share.rstrip("%")) / 100 - expected[int(label)]) < (0.15 if "int8" in file else 0.002)


def test_nothing_but_the_runtime_is_loaded(exported, pictures):
    program = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "from vinnas_tf.export.predict import predict\n"
        "answers = predict(Path(sys.argv[1]), [Path(sys.argv[2])])\n"
        "print(json.dumps([len(answers), sorted({name.split('.')[0] for name in sys.modules})]))\n"
    )
    argv = [sys.executable, "-c", program, str(exported.folder / FILE), str(pictures[0])]
    done = subprocess.run(argv, capture_output=True, text=True)
    answers, modules = json.loads(done.stdout.splitlines()[-1])
    assert answers == 1 and not HEAVY & set(modules)
    assert {"ai_edge_litert", "numpy", "PIL"} <= set(modules)


def test_closed_streams_are_no_matter(exported, pictures):
    argv = [sys.executable, "-m", "vinnas_tf.export.predict", str(exported.folder / FILE), str(pictures[0])]
    done = subprocess.run(["sh", "-c", 'exec "$@" <&- 2>&-', "sh", *argv], stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0 and done.stdout.count("\n") == 1


def test_a_lone_file_answers_too(exported, pictures, tmp_path):
    file = shutil.copy(exported.folder / FILE, tmp_path)
    done = command("vinnas_tf.export.predict", file, pictures[0])
    assert done.returncode == 0 and "class " in done.stdout
    shutil.copy(exported.folder / "tflite/labels.txt", tmp_path)
    assert "class " not in command("vinnas_tf.export.predict", file, pictures[0]).stdout


def test_a_saved_model_that_left_its_export_knows_pictures_and_classes(exported, tmp_path):
    moved = shutil.copytree(exported.folder / "saved_model" / "1", tmp_path / "1")
    here, there = (read_interface(path) for path in (exported.folder / "saved_model" / "1", moved))
    assert (there.class_names, there.preparation) == (here.class_names, here.preparation)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "python -m vinnas_tf.export.predict"),
        (["{file}"], "name pictures"),
        (["{file}", "nowhere.png"], "nowhere.png: no such picture"),
        (["nowhere.tflite", "{picture}"], "nowhere.tflite is missing"),
        (["{file}", "{broken}"], "can't be read as an image"),
        (["{broken}", "{picture}"], "can't be run"),
        (["--top=5", "{file}", "{picture}"], "unknown flag --top=5"),
    ],
)
def test_mistakes_are_told_in_a_line(arguments, message, exported, pictures, tmp_path):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"nothing")
    places = {"file": exported.folder / FILE, "picture": pictures[0], "broken": broken}
    done = command("vinnas_tf.export.predict", *(argument.format(**places) for argument in arguments))
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert message in done.stdout + done.stderr


def app_pixels(file, image):
    """What the manifest's entry `image` tells an app to do, by Pillow's own calls; the steps are run as they stand."""
    names = {"Image": Image, "ImageOps": ImageOps, "numpy": np, "file": file}
    p = ImageOps.exif_transpose(Image.open(file))
    names["p"] = p
    open_it, lay_it, convert_it, *bring_it, read_it = (step.split(" = ")[1] for step in image["pillow"])
    names["p"] = eval(open_it.split(", of ")[0], names)
    if names["p"].has_transparency_data:
        names["p"] = eval(lay_it.split(" where ")[0], names)
    for step in (convert_it, *bring_it):
        names["p"] = eval(step, names)
    return eval(read_it.split(", uint8")[0], names)


@pytest.mark.parametrize(
    "prepared",
    [
        Preparation(20, 30, 3),
        Preparation(24, 8, 1),
        Preparation(90, 70, 3, ground="black"),
        Preparation(28, 28, 3, framing="middle"),
        Preparation(20, 36, 1, framing="middle"),
    ],
)
@pytest.mark.parametrize("kind", ["photo.jpg", "turned.jpg", "drawing.png", "palette.gif", "print.tiff"])
def test_an_app_that_does_what_the_manifest_says_gets_the_same_pixels(kind, prepared, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 45, 3), np.uint8)
    picture = Image.fromarray(pixels)
    settings: dict[str, Any] = {}
    if kind == "turned.jpg":
        picture.getexif()[0x0112] = 6
        settings["exif"] = picture.getexif()
    elif kind == "drawing.png":
        picture.putalpha(Image.fromarray(np.random.default_rng(1).integers(0, 256, (60, 45), np.uint8)))
    elif kind == "palette.gif":
        picture = picture.quantize(64)
    elif kind == "print.tiff":
        picture = picture.convert("CMYK")
    picture.save(tmp_path / kind, **settings)
    ours = prepare(decode(tmp_path / kind).pixels, prepared)
    theirs = app_pixels(tmp_path / kind, describe(prepared)).reshape(prepared.shape)
    assert (ours == theirs).all()
    assert preparation(describe(prepared)) == prepared
    assert ("stretched" in describe(prepared)["aspect"]) == (prepared.framing == "stretch")


def test_a_manifest_of_before_there_was_framing_means_stretched_pictures():
    described = describe(Preparation(20, 30, 3))
    del described["framing"]
    assert preparation(described) == Preparation(20, 30, 3)


def test_the_manifest_tells_how_pictures_become_pixels(exported):
    image = exported.manifest["image"]
    assert image["shape"] == [8, 8, 1] and image["range"] == [0, 255]
    assert "stretched" in image["aspect"] and "bilinear" in image["filter"] and "grey" in image["channel_order"]
