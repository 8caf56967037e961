"""The peer is the same network: equal outputs for equal weights, both ways, and as many zeros as it was told."""

import keras
import numpy as np
import pytest

from benchmarks.magnitude_pruning import give_back, legacy_keras, main, twin
from vinnas_tf.genotype import Edge, Genotype
from vinnas_tf.network import build_network

# Every kind of layer, and the dilated convolution with a stride that legacy Keras lacks.
GENOTYPE = Genotype(
    2,
    reduction=(
        Edge(2, 0, "dil_conv_5x5"),
        Edge(2, 1, "sep_conv_3x3"),
        Edge(3, 0, "max_pool_3x3"),
        Edge(3, 1, "skip"),
        Edge(3, 2, "conv_7x1_1x7"),
        Edge(3, 2, "avg_pool_3x3"),
    ),
)


def test_the_twin_computes_the_same_and_hands_its_weights_back() -> None:
    tf_keras, tfmot = legacy_keras()
    network = build_network(
        GENOTYPE, cells="R", channels=4, image_shape=(11, 9, 1), classes=5, stem_stride=2, variational=False
    )
    peer = twin(network, tf_keras, tfmot, tfmot.sparsity.keras.ConstantSparsity(0.75, begin_step=0, frequency=1))
    images = np.random.default_rng(0).normal(size=(32, 11, 9, 1)).astype("float32")
    labels = np.eye(5)[np.random.default_rng(1).integers(5, size=32)]
    peer.compile("adam", tf_keras.losses.CategoricalCrossentropy(from_logits=True))
    peer.fit(images, labels, epochs=3, verbose=0, callbacks=[tfmot.sparsity.keras.UpdatePruningStep()])
    stripped = tfmot.sparsity.keras.strip_pruning(peer)
    give_back(stripped, network)
    np.testing.assert_allclose(network(images), stripped(images), atol=1e-5)
    for layer in network.layers:
        if hasattr(layer, "mean"):  # Depthwise kernels too, which the library leaves alone by itself.
            assert np.mean(layer.mean.numpy() == 0) == pytest.approx(0.75, abs=0.5 / layer.mean.shape.num_elements())
    assert keras.__version__.startswith("3")


def test_a_folder_without_a_training_is_one_line(tmp_path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as caught:
        main([f"--run_dir={tmp_path}"])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "has no finished train" in error
