"""A saved network of one's own is taken over with its weights, or refused in one line that names what is in the way."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from vinnas_tf.errors import FileError
from vinnas_tf.network.backbones import BackboneSettings, make_backbone

SHAPE, CLASSES = (8, 8, 3), 5
layers = keras.layers


def load(path: Path) -> keras.Model:
    return make_backbone(BackboneSettings(backbone=f"keras:{path}"), SHAPE, CLASSES, seed=0)


def sequential() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Conv2D(4, 3, activation="relu", name="convolution"),
            layers.GlobalMaxPooling2D(keepdims=True, name="pool"),
            layers.Flatten(name="flat"),
            layers.Dense(CLASSES, name="logits"),
        ]
    )


def test_the_weights_stay_and_the_outputs_too(tmp_path: Path) -> None:
    model = sequential()
    model.compile("adam", "mse")  # Which isn't loaded.
    model.save(tmp_path / "own.keras")
    network = load(tmp_path / "own.keras")
    x = np.random.default_rng(0).normal(size=(3, *SHAPE)).astype("float32")
    np.testing.assert_allclose(network(x), model(x), atol=1e-6)
    assert [layer.name for layer in network.layers][1:] == ["convolution", "convolution_relu", "pool", "flat", "logits"]
    for ours, theirs in zip(network.weights, model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def model_of(
    chain: Callable[[keras.KerasTensor], keras.KerasTensor], shape: tuple = SHAPE, classes: int = CLASSES
) -> keras.Model:
    """Layers of the case between a convolution and a classifier."""
    images = keras.Input(shape, name="images")
    x = chain(layers.Conv2D(4, 3, padding="same", name="before")(images))
    x = layers.GlobalAveragePooling2D(name="pool")(x) if len(x.shape) == 4 else x
    return keras.Model(images, layers.Dense(classes, name="logits")(x))


def shared(x: keras.KerasTensor) -> keras.KerasTensor:
    twice = layers.Conv2D(4, 3, padding="same", name="twice")
    return twice(twice(x))


def two_inputs() -> keras.Model:
    images, more = keras.Input(SHAPE), keras.Input(SHAPE)
    return keras.Model([images, more], layers.Dense(CLASSES)(layers.Flatten()(layers.Add()([images, more]))))


def two_outputs() -> keras.Model:
    images = keras.Input(SHAPE)
    x = layers.Flatten()(images)
    return keras.Model(images, [layers.Dense(CLASSES)(x), layers.Dense(CLASSES)(x)])


def softmax(as_layer: bool) -> keras.Model:
    images = keras.Input(SHAPE)
    x = layers.Flatten()(layers.Conv2D(3, 3)(images))
    x = layers.Dense(CLASSES, activation=None if as_layer else "softmax", name="probabilities")(x)
    return keras.Model(images, layers.Softmax(name="probability")(x) if as_layer else x)


def without_kernels() -> keras.Model:
    images = keras.Input((8, 8, CLASSES))
    return keras.Model(images, layers.GlobalAveragePooling2D()(images))


REFUSED: dict[str, tuple[Callable[[], keras.Model], str]] = {
    "two inputs": (two_inputs, "it has 2 inputs and 1 outputs"),
    "two outputs": (two_outputs, "it has 1 inputs and 2 outputs"),
    "other images": (lambda: model_of(lambda x: x, (8, 9, 3)), "it takes (8, 9, 3), the data set has images"),
    "any images": (lambda: model_of(lambda x: x, (None, None, 3)), "it takes (None, None, 3), the data set has"),
    "other classes": (lambda: model_of(lambda x: x, classes=7), "it returns (7,), the data set has 5 classes"),
    "softmax": (lambda: softmax(True), "its last layer probability is a softmax, where logits are needed"),
    "softmax in a layer": (lambda: softmax(False), "its last layer probabilities is a softmax"),
    "shared layer": (lambda: model_of(shared), "the layer twice is called more than once"),
    "model in a model": (
        lambda: model_of(keras.Sequential([keras.Input((8, 8, 4)), layers.Conv2D(4, 1)], name="inner")),
        "the layer inner is a model in the model",
    ),
    "function of Keras": (lambda: model_of(lambda x: keras.ops.tanh(x)), "it computes tanh by a function of Keras"),
    "half precision": (lambda: model_of(layers.Conv2D(4, 1, dtype="mixed_float16")), "in mixed_float16"),
    "grouped": (lambda: model_of(layers.Conv2D(4, 1, groups=2, name="odd")), "odd can't be masked, as groups=2"),
    "multiplier": (
        lambda: model_of(layers.DepthwiseConv2D(3, depth_multiplier=2, name="odd")),
        "the layer odd can't be masked, as depth_multiplier=2",
    ),
    "another activation": (
        lambda: model_of(layers.Conv2D(4, 1, activation="gelu", name="odd")),
        "the layer odd can't be masked, as activation=gelu; what can be masked is Conv2D,",
    ),
    "layer it does not know": (
        lambda: model_of(layers.SeparableConv2D(4, 3, name="odd")),
        "the layer odd can't be masked, as it is a SeparableConv2D",
    ),
    "normalisation over rows": (
        lambda: model_of(layers.BatchNormalization(axis=1, name="odd")),
        "the layer odd can't be masked, as axis=1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_backbone_is_refused(case: str, tmp_path: Path) -> None:
    make, said = REFUSED[case]
    make().save(tmp_path / "own.keras")
    with pytest.raises(FileError) as caught:
        load(tmp_path / "own.keras")
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'own.keras'} can't be a backbone: ")
    assert said in message
    assert "\n" not in message


def test_a_network_without_a_kernel_is_refused(tmp_path: Path) -> None:
    without_kernels().save(tmp_path / "own.keras")
    with pytest.raises(FileError, match="it has no Conv2D and no Dense"):
        make_backbone(BackboneSettings(backbone=f"keras:{tmp_path / 'own.keras'}"), (8, 8, CLASSES), CLASSES, seed=0)


class Unknown(keras.layers.Layer):
    def call(self, x):
        return x


def test_code_in_the_file_is_not_run_and_layers_of_ones_own_are_not_known(tmp_path: Path) -> None:
    model_of(layers.Lambda(lambda x: x + 1, name="code")).save(tmp_path / "lambda.keras")
    model_of(Unknown(name="own")).save(tmp_path / "custom.keras")
    for file, part in (("lambda", "ambda"), ("custom", "Unknown")):
        with pytest.raises(FileError) as caught:
            load(tmp_path / f"{file}.keras")
        assert f"{tmp_path / file}.keras can't be loaded in Keras's safe mode" in str(caught.value)
        assert part in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:You are saving a model that has not yet been built")
def test_a_file_that_is_missing_or_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.keras").write_text("no archive")
    keras.Sequential([layers.Flatten(), layers.Dense(CLASSES)]).save(tmp_path / "unbuilt.keras")
    (tmp_path / "old.h5").write_bytes(b"")
    for file, said in (
        ("missing.keras", "there is no such file"),
        ("old.h5", "save the model as a .keras file"),
        ("text.keras", "can't be loaded in Keras's safe mode"),
        ("unbuilt.keras", "no Sequential one whose first layer is an Input"),
    ):
        with pytest.raises(FileError, match=said):
            load(tmp_path / file)
