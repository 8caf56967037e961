"""Files of networks with what only the space of DARTS has, or a backbone: they answer as the trained network does."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.export.saved_model import write_saved_model
from vinnas_tf.export.tflite import convert
from vinnas_tf.network.backbones import BackboneSettings, make_backbone
from vinnas_tf.network.build import build_network
from vinnas_tf.network.evaluation import set_batch_statistics
from vinnas_tf.network.stripping import strip

IMAGES = np.random.default_rng(0).integers(256, size=(16, 9, 9, 1)).astype(np.uint8)
# Three operations on an edge; a factorised reduction of an odd side; two separable convolutions in a row.
EDGES = (
    *(Edge(2, 0, name) for name in ("double_sep_conv_3x3", "avg_pool_3x3", "skip")),
    Edge(2, 1, "dil_conv_3x3"),
)


BACKBONES: dict[str, dict[str, Any]] = {
    "multi_branch_resnet": {"backbone_width": 4, "backbone_blocks": (1, 1)},
    "enas": {"backbone_width": 4, "backbone_cells": "R"},
    "multi_branch_resnet50": {"backbone_width": 4, "backbone_blocks": (1, 1)},
    "densenet121": {"backbone_width": 4, "backbone_blocks": (1, 1)},
}


@pytest.fixture(scope="module", params=["darts", *BACKBONES])
def networks(request) -> tuple:
    """The network with statistics as after training, and stripped; of a backbone with a quarter of its slices zero."""
    if request.param == "darts":
        genotype = Genotype(1, {"reduction": EDGES}, "darts")
        network = build_network(
            genotype, cells="R", channels=4, image_shape=(9, 9, 1), classes=3, stem="cifar", variational=False
        )
    else:
        settings = BackboneSettings(backbone=request.param, **BACKBONES[request.param])
        network = make_backbone(settings, (9, 9, 1), 3, seed=0)
        for layer in network.layers:
            if isinstance(layer, keras.layers.Conv2D) and layer.kernel.shape[2] > 3:
                layer.kernel.assign(layer.kernel * (np.arange(layer.kernel.shape[2]) % 4 > 0)[:, None])
    set_batch_statistics(network, [(IMAGES.astype(np.float32), np.zeros(len(IMAGES)))])
    return network, strip(network)


@pytest.fixture(scope="module")
def expected(networks) -> np.ndarray:
    logits = networks[0](IMAGES.astype(np.float32)).numpy().astype(np.float64)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    assert probabilities.std(axis=0).max() > 0.02, "The answers hardly depend on the images: equality proves nothing."
    return probabilities


def test_tflite(networks, expected) -> None:
    content = convert(networks[1], "float32", IMAGES, sparse=False)
    run = Interpreter(model_content=content).get_signature_runner()
    found = [run(image=image[None].astype(np.float32))["probabilities"][0] for image in IMAGES]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_saved_model(networks, expected, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    manifest.write_text("{}")
    write_saved_model(networks[1], tmp_path / "1", class_names=("a", "b", "c"), manifest=manifest)
    serve = tf.saved_model.load(str(tmp_path / "1")).signatures["serving_uint8"]
    np.testing.assert_allclose(serve(image=tf.constant(IMAGES))["probabilities"], expected, atol=1e-5)
