"""Methods search spaces, and a network is made of what each found."""

from typing import Any

import numpy as np
import pytest

import vinnas_tf
from vinnas_tf.architecture.space import SPACES
from vinnas_tf.methods import METHODS, bayesnas, read_by
from vinnas_tf.methods.channels import ChannelMethod

SISTERS = [
    (method, space)
    for method in ("si_vdnas", "h_vdnas", "v_vdnas")
    for space in SPACES
    if METHODS[method].can_search(SPACES[space])
]
OF_CELLS = [method for method, kind in METHODS.items() if kind.trains and not issubclass(kind, ChannelMethod)]
OF_DARTS = [(method, "darts") for method in OF_CELLS if (method, "darts") not in SISTERS]


@pytest.mark.parametrize(("method", "space"), [*SISTERS, *OF_DARTS, ("bayesnas", "tree_pyramid")])
def test_a_method_searches_a_space_and_its_cells_make_a_network(
    method: str, space: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bayesnas, "CURVATURE_DRAWS", 40)
    states = SPACES[space].states or 1
    stem = "cifar" if space == "darts" else "plain"
    labels = np.arange(24) % 2
    images = np.random.default_rng(0).integers(100, size=(24, 8, 8, 1)).astype(np.uint8)
    images[labels == 1] += 100
    shape: dict[str, Any] = {"cells": "N", "channels": 4, "stem": stem}
    more = {"gamma_start_epoch": 0} if "gamma_start_epoch" in read_by(METHODS[method]) else {}
    search = vinnas_tf.Search(
        method=method, space=space, states=states, epochs=1, weight_epochs=0, batch_size=6, **more, **shape
    )
    found = search.fit(images, labels)
    (figures,) = search.method.preference(found.found).values()
    assert figures.shape == (len(SPACES[space].edges(states)), len(search.method.primitives))
    assert np.isfinite(figures).all() and len(np.unique(figures)) > 1
    assert all(np.isfinite(row["cross_entropy"]) for row in found.history)
    network = vinnas_tf.build_network(found.genotype, image_shape=(8, 8, 1), classes=2, variational=False, **shape)
    assert network(images.astype(np.float32)).shape == (24, 2)
