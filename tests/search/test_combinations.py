"""Every sister system searches every space, and a network is made of what it found."""

from typing import Any

import numpy as np
import pytest

import vinnas_tf
from vinnas_tf.architecture.space import SPACES


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("method", ["si_vdnas", "h_vdnas", "v_vdnas"])
def test_a_method_searches_a_space_and_its_cells_make_a_network(method: str, space: str) -> None:
    states = SPACES[space].states or 1
    labels = np.arange(24) % 2
    images = np.random.default_rng(0).integers(100, size=(24, 8, 8, 1)).astype(np.uint8)
    images[labels == 1] += 100
    shape: dict[str, Any] = {"cells": "N", "channels": 4}
    search = vinnas_tf.Search(
        method=method, space=space, states=states, epochs=1, weight_epochs=0, batch_size=6, **shape
    )
    found = search.fit(images, labels)
    (log_delta,) = found.trajectory["normal/log_delta"]
    assert (np.abs(log_delta + 2.0) > 1e-3).all()  # From where it starts.
    assert all(np.isfinite(row["cross_entropy"]) for row in found.history)
    network = vinnas_tf.build_network(found.genotype, image_shape=(8, 8, 1), classes=2, variational=False, **shape)
    assert network(images.astype(np.float32)).shape == (24, 2)
