"""What every test may rely on."""

import os
import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from xdist.scheduler import LoadFileScheduling

# As every command does, before TensorFlow.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")

import tensorflow as tf

# What is remembered of pictures is the tests' own, and that of the commands that they start.
_CACHE = tempfile.TemporaryDirectory()
os.environ["XDG_CACHE_HOME"] = _CACHE.name
# A shell starts what runs in its background deaf to Ctrl-C, and so would be the commands that the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
tf.config.experimental.enable_tensor_float_32_execution(False)  # On a GPU its products have an error of 1e-3.


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips what needs a CPU where TensorFlow sees a GPU."""
    marked = [item for item in items if item.get_closest_marker("cpu")]
    if marked and tf.config.list_physical_devices("GPU"):
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="this holds on a CPU alone, and there is a GPU"))


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def tfds_data_dir() -> str:
    """A TFDS folder with prepared data; tests that need real images take this fixture."""
    folder = os.environ.get("TFDS_DATA_DIR", "")
    if not all(Path(folder, name).is_dir() for name in ("mnist", "cifar10")):
        pytest.skip("TFDS_DATA_DIR names no folder with MNIST and CIFAR-10 prepared")
    return folder


@pytest.fixture
def unfit_test_images(tmp_path: Path) -> Path:
    """A folder data set whose test images have another size than its training images."""
    for part, size in (("train", 8), ("test", 9)):
        for name in ("a", "b"):
            folder = tmp_path / "images" / part / name
            folder.mkdir(parents=True)
            for index in range(2):
                Image.new("L", (size, size)).save(folder / f"{index}.png")
    return tmp_path / "images"


class _ByRoom(LoadFileScheduling):
    """Keeps a file with one process, and all of tests/export, whose tests look at one exported run."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::")[0]
        return "export" if Path(file).parent.name == "export" else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _ByRoom:
    """What shares the tests out: pytest-xdist 3.8 does not see its own marker of groups under pytest 9.2."""
    return _ByRoom(config, log)
