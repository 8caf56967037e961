"""One contract for every layer: Keras's own, its config, its shapes, saving, and mixed precision."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import keras
import numpy as np
import pytest
from keras.src import testing

from vinnas_tf.layers.batch_normalization import BatchNormalization
from vinnas_tf.layers.cell import MixedCell, Preprocess
from vinnas_tf.layers.convolution import VariationalConv2D, VariationalDense, VariationalDepthwiseConv2D
from vinnas_tf.layers.drop_path import DropPath
from vinnas_tf.layers.mixed_op import MixedOp
from vinnas_tf.layers.pyramid import PyramidBlock
from vinnas_tf.layers.residual_block import ResidualBlock
from vinnas_tf.layers.stem import SearchStem

# Layer, shapes of its inputs without the batch. Odd sizes and strides are where padding goes wrong.
LAYERS: dict[str, tuple[Callable[..., keras.Layer], list[tuple[int, ...]]]] = {
    "conv": (lambda **kw: VariationalConv2D(5, (3, 3), strides=(2, 2), seed=1, **kw), [(7, 6, 3)]),
    "conv_bias": (lambda **kw: VariationalConv2D(5, (7, 1), use_bias=True, seed=1, **kw), [(7, 6, 3)]),
    "conv_point": (lambda **kw: VariationalConv2D(5, (1, 1), variational=False, seed=1, **kw), [(7, 6, 3)]),
    "depthwise": (lambda **kw: VariationalDepthwiseConv2D((5, 5), strides=(2, 2), seed=1, **kw), [(9, 8, 3)]),
    "dilated": (lambda **kw: VariationalDepthwiseConv2D((3, 3), dilation_rate=2, seed=1, **kw), [(9, 8, 3)]),
    "dense": (lambda **kw: VariationalDense(4, use_bias=True, seed=1, **kw), [(6,)]),
    "batch_normalization": (lambda **kw: BatchNormalization(**kw), [(7, 6, 3)]),
    "drop_path": (lambda **kw: DropPath(0.3, seed=1, **kw), [(7, 6, 3)]),
    "preprocess": (lambda **kw: Preprocess(4, stride=2, seed=1, **kw), [(9, 8, 3)]),
    "mixed_op": (lambda **kw: MixedOp(seed=1, **kw), [(9, 8, 4), (1, 10)]),
    "mixed_op_of_three_edges": (lambda **kw: MixedOp(edges=3, seed=1, **kw), [(9, 8, 4), (3, 10)]),
    "mixed_op_strided": (lambda **kw: MixedOp(stride=2, variational=False, seed=1, **kw), [(9, 8, 4), (1, 10)]),
    "mixed_op_nasbench201": (
        lambda **kw: MixedOp(space="nasbench201", normalize_all=True, seed=1, **kw),
        [(9, 8, 4), (1, 5)],
    ),
    "preprocess_factorized": (lambda **kw: Preprocess(4, stride=2, factorized=True, seed=1, **kw), [(9, 8, 3)]),
    "mixed_op_darts": (lambda **kw: MixedOp(edges=2, space="darts", seed=1, **kw), [(9, 8, 4), (2, 8)]),
    "mixed_op_darts_strided": (
        lambda **kw: MixedOp(edges=2, stride=2, space="darts", seed=1, **kw),
        [(9, 8, 4), (2, 8)],
    ),
    "residual_block": (lambda **kw: ResidualBlock(6, seed=1, **kw), [(9, 8, 4)]),
    "mixed_cell": (
        lambda **kw: MixedCell(2, 4, reduction=True, stride_first=2, seed=1, **kw),
        [(16, 16, 3), (8, 8, 5), (5, 10)],
    ),
    "cell_nasbench201": (
        lambda **kw: MixedCell(3, 4, space="nasbench201", seed=1, **kw),
        [(16, 16, 3), (8, 8, 4), (6, 5)],
    ),
    "pyramid_block": (
        lambda **kw: PyramidBlock(4, 4, space="tree_pyramid", reduction=True, seed=1, **kw),
        [(9, 8, 3), (9, 8, 6), (4, 7)],
    ),
}


def example(shapes: list[tuple[int, ...]], batch: int = 8) -> list[np.ndarray]:
    """Images are batched; mixing weights, behind them, belong to the cell and are not."""
    generator = np.random.default_rng(0)
    first = shapes[:1] if len(shapes[0]) == 1 else [shape for shape in shapes if len(shape) == 3]
    images = [generator.normal(size=(batch, *shape)) for shape in first]
    mixing = [generator.dirichlet(np.ones(shape[-1]), size=shape[:-1]) for shape in shapes[len(first) :]]
    return [array.astype("float32") for array in images + mixing]


# Class, arguments, shapes of input and output, and Keras's counts: trained weights, others, generators of seeds.
# `MixedOp` and `MixedCell` are not among them: Keras's check calls a layer on one structure of tensors, and these take
# images and mixing weights as arguments of their own. What the check asks for, the tests below ask of all layers.
KERAS: dict[
    str, tuple[type[keras.Layer], dict[str, object], tuple[int, ...], tuple[int, ...], tuple[int, int, int]]
] = {
    "conv": (VariationalConv2D, {"filters": 5, "kernel_size": 3}, (2, 7, 6, 3), (2, 7, 6, 5), (2, 0, 1)),
    "conv_strided": (
        VariationalConv2D,
        {"filters": 5, "kernel_size": (7, 1), "strides": 2, "use_bias": True, "variational": False},
        *((2, 7, 6, 3), (2, 4, 3, 5), (2, 0, 0)),
    ),
    "depthwise": (
        VariationalDepthwiseConv2D,
        {"kernel_size": 3, "strides": 2, "dilation_rate": (2, 2), "estimator": "weight_sampling"},
        *((2, 7, 6, 3), (2, 4, 3, 3), (2, 0, 1)),
    ),
    "dense": (VariationalDense, {"units": 4, "use_bias": True}, (2, 6), (2, 4), (3, 0, 1)),
    "dense_of_a_sequence": (VariationalDense, {"units": 4}, (2, 5, 6), (2, 5, 4), (2, 0, 1)),
    "batch_normalization": (BatchNormalization, {"momentum": 0.9}, (2, 7, 6, 3), (2, 7, 6, 3), (2, 2, 0)),
    "drop_path": (DropPath, {"rate": 0.3, "seed": 1}, (2, 7, 6, 3), (2, 7, 6, 3), (0, 1, 1)),
    "preprocess_factorized": (
        Preprocess,
        {"channels": 4, "stride": 2, "factorized": True},
        *((2, 7, 6, 3), (2, 4, 3, 4), (2, 0, 1)),
    ),
    "preprocess": (Preprocess, {"channels": 4, "stride": 2}, (2, 7, 6, 3), (2, 4, 3, 4), (2, 0, 1)),
    "residual_block": (ResidualBlock, {"channels": 4}, (2, 7, 6, 3), (2, 4, 3, 4), (6, 0, 3)),
}


@pytest.mark.parametrize("name", KERAS)
def test_it_passes_the_check_of_keras_for_its_own_layers(name: str) -> None:
    layer, arguments, taken, given, (trained, others, generators) = KERAS[name]
    testing.TestCase().run_layer_test(
        layer,
        arguments,
        input_shape=taken,
        expected_output_shape=given,
        expected_num_trainable_weights=trained,
        expected_num_non_trainable_weights=others,
        expected_num_seed_generators=generators,
    )


@pytest.mark.parametrize(
    ("layer", "arguments", "pairs"),
    [
        (VariationalConv2D, {"filters": 2, "kernel_size": 5, "strides": 2}, ("kernel_size", "strides")),
        (VariationalDepthwiseConv2D, {"kernel_size": 3, "strides": 2}, ("kernel_size", "strides")),
        (
            VariationalDepthwiseConv2D,
            {"kernel_size": np.int64(3), "dilation_rate": 2},
            ("kernel_size", "dilation_rate"),
        ),
    ],
)
def test_one_number_stands_for_both_axes(layer, arguments, pairs) -> None:
    twin = layer(**{**arguments, **{name: (arguments[name], arguments[name]) for name in pairs}}, name="layer")
    assert layer(**arguments, name="layer").get_config() == twin.get_config()


@pytest.mark.parametrize("name", LAYERS)
def test_config_rebuilds_the_layer(name: str) -> None:
    make, shapes = LAYERS[name]
    inputs = example(shapes)
    layer = make()
    expected = layer(*inputs)
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert twin.get_config() == layer.get_config()
    twin(*inputs)
    twin.set_weights(layer.get_weights())
    np.testing.assert_array_equal(twin(*inputs), expected)


@pytest.mark.parametrize("name", LAYERS)
def test_output_has_the_promised_shape(name: str) -> None:
    make, shapes = LAYERS[name]
    inputs = example(shapes)
    layer = make()
    assert tuple(layer(*inputs).shape) == tuple(layer.compute_output_shape(*(array.shape for array in inputs)))


@pytest.mark.parametrize("name", [name for name, (_, shapes) in LAYERS.items() if len(shapes) == 1])
def test_a_saved_model_predicts_the_same(name: str, tmp_path: Path) -> None:
    make, shapes = LAYERS[name]
    (images,) = example(shapes)
    entry = keras.Input(shapes[0])
    model = keras.Model(entry, make()(entry))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), model.predict(images, verbose=0))


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_keeps_float32_weights_and_stays_close(name: str, precision: str) -> None:
    make, shapes = LAYERS[name]
    inputs = example(shapes)
    full = make()
    expected = full(*inputs)
    half = make(dtype=precision)
    half.build(*(array.shape for array in inputs))
    half.set_weights(full.get_weights())
    output = half(*inputs)
    assert keras.backend.standardize_dtype(output.dtype) == precision.removeprefix("mixed_")
    assert {weight.dtype for weight in half.weights} == {"float32"}
    scale = float(np.abs(expected).max())
    np.testing.assert_allclose(np.asarray(output, "float32"), expected, atol=0.06 * scale)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: VariationalConv2D(0, 3), "filters must be a whole number of at least 1, got 0."),
        (lambda: VariationalConv2D(2, cast(Any, (3, 3, 3))), "kernel_size must be .*, or two of them, got (3, 3, 3)."),
        (lambda: VariationalConv2D(2, None), "kernel_size must be .*, or two of them, got None."),
        (lambda: VariationalConv2D(2, 3, strides=0), "strides must be .*, or two of them, got 0."),
        (lambda: VariationalConv2D(2, 3, estimator="none"), "estimator must be local_.* or weight_.*, got 'none'."),
        (lambda: VariationalDepthwiseConv2D(3, strides=(1, 2)), "strides must be equal on both axes, got (1, 2)."),
        (
            lambda: VariationalDepthwiseConv2D(3, strides=3, dilation_rate=2),
            "a dilated .*, got (3, 3), (3, 3) and (2, 2).",
        ),
        (lambda: VariationalDense(cast(Any, 2.5)), "units must be a whole number of at least 1, got 2.5."),
        (lambda: BatchNormalization(axis=1), "axis must be -1 here, got 1."),
        (lambda: BatchNormalization(scale=False), "scale must be True here, got False."),
        (lambda: DropPath(1.0), "rate must lie in [0, 1), got 1.0."),
        (lambda: Preprocess(-4), "channels must be a whole number of at least 1, got -4."),
        (lambda: ResidualBlock(cast(Any, "4")), "channels must be a whole number of at least 1, got '4'."),
        (lambda: MixedOp(stride=3), "stride must be 1 or 2, got 3."),
        (lambda: MixedOp(edges=0), "edges must be a whole number of at least 1, got 0."),
        (lambda: MixedOp(space="enas"), "space must be vinnas or nasbench201 or darts or tree_pyramid, got 'enas'."),
        (lambda: MixedCell(0, 4), "states must be a whole number of at least 1, got 0."),
        (
            lambda: MixedCell(1, 4, space=None),
            "space must be vinnas or nasbench201 or darts or tree_pyramid, got None.",
        ),
        (
            lambda: Preprocess(3, stride=2, factorized=True),
            "a factorised reduction has an even number of channels, got 3.",
        ),
        (lambda: Preprocess(4, stride=3, factorized=True), "a factorised reduction has a stride of 2, got 3."),
        (lambda: SearchStem(3, stem="imagenet"), "stem=imagenet needs channels to be a multiple of 2, got 3."),
        (lambda: SearchStem(4, stem="mnist"), "stem must be plain or cifar or imagenet, got 'mnist'."),
    ],
)
def test_impossible_arguments_are_refused_in_one_line(make: Callable[[], keras.Layer], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        make()
    assert re.fullmatch(".*".join(map(re.escape, message.split(".*"))), str(caught.value))


@pytest.mark.parametrize(
    ("make", "shape", "message"),
    [
        (lambda: VariationalConv2D(2, 3), (2, 7, 3), "ndim=4, found ndim=3"),
        (lambda: VariationalDepthwiseConv2D(3), (2, 7), "ndim=4, found ndim=2"),
        (lambda: VariationalDense(2), (7,), "min_ndim=2, found ndim=1"),
        (lambda: BatchNormalization(), (2, 7), "ndim=4, found ndim=2"),
        (lambda: VariationalDense(2), (4, None), "how many channels"),
    ],
)
def test_images_of_another_rank_are_refused(make: Callable[[], keras.Layer], shape, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()(keras.KerasTensor(shape))


def test_a_built_layer_refuses_other_channels() -> None:
    layer = VariationalConv2D(2, 3)
    layer.build((None, 7, 6, 3))
    with pytest.raises(ValueError, match="axis -1 .*value 3"):
        layer(np.zeros((1, 7, 6, 4), "float32"))
