"""The generated photographs are files of their own, and the benchmark streams them."""

import numpy as np
import pytest
from PIL import Image

from benchmarks.input_pipeline import main
from benchmarks.photographs import main as write


def test_photographs_are_distinct_and_the_same_each_time(tmp_path, capsys):
    contents = []
    for name in ("one", "two"):
        write([f"--folder={tmp_path / name}", "--images=40", "--classes=4", "--size=24"])
        files = sorted((tmp_path / name).rglob("*.jpg"))
        contents.append([file.read_bytes() for file in files])
    assert "48 JPEGs" in capsys.readouterr().out
    assert contents[0] == contents[1] and len(set(contents[0])) == 48
    assert {path.name for path in (tmp_path / "one/train").iterdir()} == {"0000", "0001", "0002", "0003"}
    assert Image.open(files[0]).size == (32, 24)
    means = np.array([np.asarray(Image.open(file)).mean(axis=(0, 1)) for file in files])
    classes = np.array([int(file.parent.name) for file in files])
    between = np.array([means[classes == label].mean(axis=0) for label in range(4)]).std(axis=0).max()
    assert between > 2 * means[classes == 0].std(axis=0).max()


def test_streamed_images_are_measured_beside_those_in_memory(capsys):
    main(["--streamed=40", "--image_size=24", "--batch=8", "--steps=3", "--epochs=2", "--augment=resized_crop,flip"])
    first, streamed, in_memory = capsys.readouterr().out.splitlines()
    assert "40 images of 24 x 24, batches of 8, resized_crop,flip" in first
    assert "images/s" in streamed and "GiB" in in_memory


@pytest.mark.parametrize("flag", ["--streamed=3", "--augment=blur", "--batch=0"])
def test_mistakes_are_told(flag, capsys):
    with pytest.raises(SystemExit):
        main(["--streamed=40", flag])
    assert flag.split("=")[0] in capsys.readouterr().err
