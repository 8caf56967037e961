"""Compression of LeNets: that the rivals start from the same network, and that tables say who is ahead."""

import dataclasses
from typing import Any

import keras
import numpy as np
import pytest

from benchmarks.lenet_rivals import with_gaussian_weights
from benchmarks.lenets import Figures, ahead, main, summary, units
from benchmarks.magnitude_peer import legacy_keras, twin
from vinnas_tf.network.backbones.lenet import lenet_5, lenet_300_100
from vinnas_tf.network.build import gaussian_layers
from vinnas_tf.network.stripping import strip

IMAGES = np.random.default_rng(0).normal(size=(3, 16, 16, 1)).astype("float32")


@pytest.fixture(scope="module")
def network() -> keras.Model:
    made = lenet_5((16, 16, 1), 10, 0)
    for layer in made.layers:
        if layer.weights:
            layer.bias.assign(np.random.default_rng(1).normal(size=layer.bias.shape))
    return made


def test_the_network_with_gaussian_weights_is_the_same_at_its_means(network: keras.Model) -> None:
    noisy = with_gaussian_weights(network, 3)
    assert [layer.name for layer in gaussian_layers(noisy)] == ["conv_0", "conv_1", "linear_500", "classifier"]
    for layer in gaussian_layers(noisy):
        kernel, bias = network.get_layer(layer.name).get_weights()
        layer.mean.assign(kernel)
        layer.bias.assign(bias)
    np.testing.assert_allclose(noisy(IMAGES), network(IMAGES), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(strip(network)(IMAGES), network(IMAGES), rtol=1e-4, atol=1e-4)


def test_the_twin_of_a_network_of_plain_layers_computes_the_same(network: keras.Model) -> None:
    tf_keras, tfmot = legacy_keras()
    sparsity = tfmot.sparsity.keras.ConstantSparsity(0.5, begin_step=0)
    peer = twin(network, tf_keras, tfmot, lambda _: sparsity)
    np.testing.assert_allclose(peer(IMAGES), network(IMAGES), rtol=1e-4, atol=1e-4)


def test_units_are_those_that_a_weight_reads_and_channels_that_a_convolution_makes(network: keras.Model) -> None:
    kernel = np.array(network.get_layer("linear_500").kernel)
    before = kernel.copy()
    kernel[:, :450] = 0  # Of a weight to a unit; its bias is left, and no weight reads what is the same for all.
    network.get_layer("linear_500").kernel.assign(kernel)
    try:
        assert units(network, strip(network)) == "20-50-50-50"
    finally:
        network.get_layer("linear_500").kernel.assign(before)
    small = lenet_300_100((4, 4, 1), 3, 0)
    assert units(small, strip(small)) == "16-300-100"


def figures(row: str, seed: int, **own: Any) -> Figures:
    base = Figures("lenet_5", seed, row, 0.99, "20-50-800-500", 400_000, 400_000, 1_600_000)
    return dataclasses.replace(base, **own)


def test_tables_hold_rows_against_evidence_and_the_dense_network() -> None:
    found = [figures("dense", seed) for seed in (0, 1)]
    found += [figures("evidence", seed, accuracy=0.98, parameters=20_000, bytes=80_000 + seed) for seed in (0, 1)]
    found += [figures("magnitude", seed, accuracy=0.97 + 0.02 * seed, nonzero=10_000) for seed in (0, 1)]
    found += [figures("variational", seed, accuracy=0.9, units="20-48-700-400") for seed in (0, 1)]
    header, _, *lines = ([cell.strip() for cell in line.strip("|").split("|")] for line in summary(found).splitlines())
    of = {line[1]: dict(zip(header, line, strict=True)) for line in lines}
    assert list(of) == ["evidence", "dense", "magnitude", "variational"]
    assert (of["evidence"]["stored, times fewer"], of["evidence"]["times fewer"]) == ("20.0", "20.0")
    assert (of["magnitude"]["not 0, times fewer"], of["magnitude"]["stored, times fewer"]) == ("40.0", "1.0")
    assert of["magnitude"]["test accuracy, %"] == "98.00 ± 1.41" and of["magnitude"]["below dense"] == "1.00"
    assert of["variational"]["difference"] == "-8.00" and of["variational"]["units"] == "20-48-700-400"
    best = [[cell.strip() for cell in line.strip("|").split("|")] for line in ahead(found).splitlines()[2:]]
    assert [line[1:] for line in best] == [
        ["accuracy", "evidence and magnitude", "1 of 2"],
        ["parameters stored", "evidence", "2 of 2"],
        ["parameters not 0", "magnitude", "2 of 2"],
        ["bytes", "evidence", "2 of 2"],
    ]


def test_an_unknown_network_is_one_line(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--networks=lenet_6"])
    assert caught.value.code == 2
    assert "--networks knows lenet_300_100, lenet_5; got lenet_6." in capsys.readouterr().err


def test_a_folder_made_with_other_settings_is_refused(tmp_path, capsys: pytest.CaptureFixture) -> None:
    folder = tmp_path / "lenet_300_100-seed0"
    folder.mkdir()
    (folder / "settings.json").write_text('{"epochs": 99}')
    flags = ["--networks=lenet_300_100", "--seeds=1", "--dataset=digits", f"--run_dir={tmp_path}"]
    with pytest.raises(SystemExit) as caught:
        main(flags)
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert "lenet_300_100-seed0 was made with other" in error and "epochs" in error and error.count("\n") == 1
