"""Pruning by log lambda, and counts that are recounted from the weights, by hand and from the saved file."""

import io
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.network.build import build_network, gaussian_layers
from vinnas_tf.network.evaluation import Evaluation, measure
from vinnas_tf.network.pruning import (
    ParameterCount,
    ThresholdPoint,
    count_parameters,
    prune,
    sparsest_within_error,
    threshold_curve,
    total,
)
from vinnas_tf.network.stripping import strip

GENOTYPE = Genotype(1, {"reduction": (Edge(2, 0, "sep_conv_3x3"), Edge(2, 1, "avg_pool_3x3"))})
# Stem 3x3 from 1 to 4 channels; the cell has 8.
KERNELS = {
    "stem_conv": 9 * 4,
    "cell_0_first_conv": 4 * 8,
    "cell_0_second_conv": 4 * 8,
    "cell_0_0to2_sep_conv_3x3_conv_0": 9 * 8,
    "cell_0_0to2_sep_conv_3x3_conv_1": 8 * 8,
    "classifier": 8 * 3,
}
OTHERS = {
    "stem_bn": 2 * 4,
    "cell_0_first_bn": 2 * 8,
    "cell_0_second_bn": 2 * 8,
    "cell_0_0to2_sep_conv_3x3_bn": 2 * 8,
    "cell_0_1to2_avg_pool_3x3_bn": 2 * 8,
    "classifier": 3,
}


def trained(auxiliary: bool = False, seed: int = 0) -> keras.Model:
    """A network with noise ratios from exp(-6) to exp(8), and with scales, shifts and biases that are not zero."""
    model = build_network(
        GENOTYPE, cells="R", channels=4, image_shape=(8, 8, 1), classes=3, auxiliary=auxiliary, seed=seed
    )
    generator = np.random.default_rng(seed)
    for layer in gaussian_layers(model):
        ratio = generator.uniform(-6, 8, layer.mean.shape)
        layer.log_variance.assign(ratio + np.log(layer.mean.numpy() ** 2))
    for weight in model.trainable_weights:
        if weight.name in ("gamma", "beta", "bias"):
            weight.assign(generator.uniform(0.5, 1.5, weight.shape))
    return model


def arrays_in(path: Path) -> dict[str, np.ndarray]:
    """Every array in a .keras file, by its place in it; knows the file format and nothing of ours."""
    found = {}
    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


@pytest.mark.parametrize("threshold", [3.0, 0.0])
def test_weights_at_and_above_the_threshold_become_exact_zeros(threshold: float) -> None:
    model = trained()
    layers = list(gaussian_layers(model))
    before = [(layer.mean.numpy(), layer.log_variance.numpy()) for layer in layers]
    prune(model, threshold)
    for layer, (mean, log_variance) in zip(layers, before, strict=True):
        ratio = np.exp(log_variance.astype("float64")) / mean.astype("float64") ** 2
        np.testing.assert_array_equal(layer.mean, np.where(ratio >= np.exp(threshold), 0, mean))
        np.testing.assert_array_equal(layer.log_variance, log_variance)


def test_weights_that_are_zero_stay_zero_and_the_default_threshold_is_the_papers() -> None:
    model = trained()
    layer = model.get_layer("classifier")
    mean = np.ones(layer.mean.shape, "float32")
    mean[0], mean[1] = 0, 2
    layer.mean.assign(mean)
    layer.log_variance.assign(np.full(mean.shape, 3.0))
    prune(model)
    np.testing.assert_array_equal(layer.mean[0], np.zeros(3))
    np.testing.assert_array_equal(layer.mean[1], np.full(3, 2))  # log lambda = 3 - log 4
    np.testing.assert_array_equal(layer.mean[2:], np.zeros((6, 3)))  # log lambda = 3
    prune(model, threshold=np.inf)
    assert np.count_nonzero(layer.mean) == 3


def test_dense_counts_by_hand() -> None:
    counts = count_parameters(trained(auxiliary=True))
    assert {name: count.kernel_dense for name, count in counts.items() if count.kernel_dense} == KERNELS
    assert {name: count.other_dense for name, count in counts.items() if count.other_dense} == OTHERS
    assert total(counts) == ParameterCount(260, 260, 75, 75)
    assert total(counts).params_dense == 335


def test_counts_of_a_pruned_network_recounted_from_its_file(tmp_path: Path) -> None:
    model = trained()
    prune(model)
    model.get_layer("classifier").bias.assign([0.0, 1.0, 0.0])
    model.save(tmp_path / "pruned.keras")
    # A .keras file numbers a layer's own variables; a kernel is the one that is not a vector, before its log-variance.
    kernels = {name: array for name, array in arrays_in(tmp_path / "pruned.keras").items() if array.ndim > 1}
    means = [array for name, array in kernels.items() if name.endswith("/0")]
    assert sum(array.size for array in means) == 260
    count = total(count_parameters(model))
    assert count.kernel_nonzero == sum(np.count_nonzero(array) for array in means)
    # Of noise ratios between -6 and 8, 9/14 lie below 3; four standard deviations of a binomial count.
    assert abs(count.kernel_nonzero - 260 * 9 / 14) < 4 * np.sqrt(260 * 9 / 14 * 5 / 14)
    assert (count.other_dense, count.other_nonzero) == (75, 73)
    assert count.params_nonzero == count.kernel_nonzero + 73


def test_counts_of_a_stripped_network_recounted_from_its_file(tmp_path: Path) -> None:
    model = trained()
    prune(model, threshold=0.0)
    stripped = strip(model)
    stripped.save(tmp_path / "stripped.keras")
    arrays = arrays_in(tmp_path / "stripped.keras")
    # The pool's batch normalisation is the only array in the file that is not a kernel or a bias: scale, shift, and
    # two running statistics, which are not counted.
    statistics = [name for name in arrays if "batch_normalization" in name and name[-1] in "23"]
    assert len(statistics) == 2
    counted = [array for name, array in arrays.items() if name not in statistics]
    count = total(count_parameters(stripped))
    assert count.params_dense == sum(array.size for array in counted)
    assert count.params_nonzero == sum(np.count_nonzero(array) for array in counted)
    assert 0 < count.kernel_nonzero <= total(count_parameters(model)).kernel_nonzero < count.kernel_dense


def test_curve_measures_each_threshold_and_gives_the_weights_back() -> None:
    model = trained()
    before = model.get_weights()
    seen = []

    def evaluate(network: keras.Model) -> Evaluation:
        kernels = [layer.mean.numpy() for layer in gaussian_layers(network)]
        seen.append(sum(np.count_nonzero(kernel) for kernel in kernels))
        return measure(np.log([[0.6, 0.4]] * 1000), (np.arange(1000) < seen[-1]).astype(int))

    points = threshold_curve(model, [20.0, 3.0, 0.0], evaluate)
    assert [point.threshold for point in points] == [20.0, 3.0, 0.0]
    assert [point.params_nonzero for point in points] == [count + 75 for count in seen]
    assert [point.accuracy for point in points] == [1 - count / 1000 for count in seen]
    errors = [np.sqrt(count / 1000 * (1 - count / 1000) / 1000) for count in seen]
    assert [point.standard_error for point in points] == pytest.approx(errors)
    assert seen[0] == 260 > seen[1] > seen[2] > 0
    for weight, value in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_curve_gives_the_weights_back_when_the_evaluation_fails() -> None:
    model = trained()
    before = total(count_parameters(model))

    def fail(_: keras.Model) -> Evaluation:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        threshold_curve(model, [0.0], fail)
    assert total(count_parameters(model)) == before


@pytest.mark.parametrize(
    ("accuracies", "images", "expected"),
    [
        ([0.980, 0.985, 0.981, 0.979, 0.900], 400, 2.0),  # The best's standard error is 0.0061.
        ([0.980, 0.985, 0.976, 0.979, 0.900], 400, 2.0),  # Falls and rises again.
        ([0.980, 0.985, 0.976, 0.970, 0.900], 40_000, 4.0),
        ([1.0, 1.0, 0.975, 0.95, 0.9], 40, 3.0),  # One image of 40 decides nothing, although all are right.
        ([0.5, 0.5, 0.5, 0.5, 0.5], 100, 1.0),
    ],
)
def test_the_sparsest_threshold_within_one_standard_error(
    accuracies: list[float], images: int, expected: float
) -> None:
    points = []
    for threshold, accuracy, left in zip([5.0, 4.0, 3.0, 2.0, 1.0], accuracies, [900, 700, 400, 200, 50], strict=True):
        labels = (np.arange(images) >= round(accuracy * images)).astype(int)
        error = measure(np.log([[0.6, 0.4]] * images), labels).standard_error
        points.append(ThresholdPoint(threshold, accuracy, error, left))
    assert sparsest_within_error(points).threshold == expected


def test_of_equally_sparse_thresholds_the_highest_is_chosen() -> None:
    points = [ThresholdPoint(threshold, 0.9, 0.01, 100) for threshold in (8.0, 7.0, 6.0)]
    assert sparsest_within_error(points).threshold == 8.0
