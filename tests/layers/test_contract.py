"""One contract for every layer: its config, its shapes, saving, and mixed precision."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from vinnas_tf.layers.batch_normalization import BatchNormalization
from vinnas_tf.layers.cell import MixedCell, Preprocess
from vinnas_tf.layers.convolution import VariationalConv2D, VariationalDense, VariationalDepthwiseConv2D
from vinnas_tf.layers.drop_path import DropPath
from vinnas_tf.layers.mixed_op import MixedOp
from vinnas_tf.layers.residual_block import ResidualBlock

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
    "residual_block": (lambda **kw: ResidualBlock(6, seed=1, **kw), [(9, 8, 4)]),
    "mixed_cell": (
        lambda **kw: MixedCell(2, 4, reduction=True, stride_first=2, seed=1, **kw),
        [(16, 16, 3), (8, 8, 5), (5, 10)],
    ),
    "cell_nasbench201": (
        lambda **kw: MixedCell(3, 4, space="nasbench201", seed=1, **kw),
        [(16, 16, 3), (8, 8, 4), (6, 5)],
    ),
}


def example(shapes: list[tuple[int, ...]], batch: int = 8) -> list[np.ndarray]:
    """Images are batched; strengths, behind them, belong to the cell and are not."""
    generator = np.random.default_rng(0)
    first = shapes[:1] if len(shapes[0]) == 1 else [shape for shape in shapes if len(shape) == 3]
    images = [generator.normal(size=(batch, *shape)) for shape in first]
    strengths = [generator.dirichlet(np.ones(shape[-1]), size=shape[:-1]) for shape in shapes[len(first) :]]
    return [array.astype("float32") for array in images + strengths]


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
        (lambda: VariationalConv2D(0, (3, 3)), "must be positive"),
        (lambda: VariationalDepthwiseConv2D((3, 3), strides=(1, 2)), "strides equal"),
        (lambda: VariationalDense(0), "must be positive"),
        (lambda: MixedOp(stride=3), "stride must be 1 or 2"),
        (lambda: MixedOp(edges=0), "edges must be at least 1, got 0"),
    ],
)
def test_impossible_arguments_are_refused(make: Callable[[], keras.Layer], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
