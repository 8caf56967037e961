"""What every test may rely on."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def tfds_data_dir() -> str:
    """A TFDS folder with prepared data; tests that need real images take this fixture."""
    folder = os.environ.get("TFDS_DATA_DIR", "")
    if not Path(folder, "mnist").is_dir():
        pytest.skip("TFDS_DATA_DIR names no folder with prepared data sets")
    return folder
