"""The five things that a contributor can add, each as a toy: method, primitive, space, data source, export format."""

import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import vinnas_tf
from vinnas_tf.architecture.found import Columns, Found
from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.architecture.posterior import select
from vinnas_tf.architecture.primitives import PRIMITIVES
from vinnas_tf.architecture.skeleton import CellGroup
from vinnas_tf.architecture.space import SPACES, VINNAS, Choice
from vinnas_tf.config import DataConfig, SearchConfig, setting
from vinnas_tf.config import export as export_settings
from vinnas_tf.data.images import SOURCES, load_test, load_train
from vinnas_tf.data.picture import Preparation
from vinnas_tf.data.picture_index import Watch, unwatched
from vinnas_tf.data.search_images import SearchImages, held_out
from vinnas_tf.data.source import Part, Source, with_drawn_test
from vinnas_tf.export.formats import FORMATS, Format, Task, Written
from vinnas_tf.export.tflite import convert
from vinnas_tf.flags import read_flags
from vinnas_tf.methods import METHODS, method_variants
from vinnas_tf.methods.base import ARCHITECTURE, WEIGHTS, Draw, Method, Network, Term
from vinnas_tf.methods.steps import joint
from vinnas_tf.network.stripping import strip
from vinnas_tf.run.outputs import OUTPUTS

SMALL: dict[str, Any] = {
    "cells": "N", "states": 1, "channels": 4, "epochs": 3, "weight_epochs": 1, "batch_size": 8,
}  # fmt: skip


@pytest.fixture(autouse=True)
def registries() -> Iterator[None]:
    """What a test registers is gone after it."""
    registered: list[dict] = [METHODS, PRIMITIVES, SPACES, SOURCES]
    before = [dict(registry) for registry in registered]
    yield
    for registry, content in zip(registered, before, strict=True):
        registry.clear()
        registry.update(content)


def bright_and_dark(count: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """Images of two classes."""
    labels = np.arange(count) % 2
    pixels = np.random.default_rng(0).integers(0, 100, (count, 8, 8, 1)) + 120 * labels[:, None, None, None]
    return pixels.astype(np.uint8), labels


@dataclass(frozen=True, kw_only=True)
class SwitchSettings:
    """What method=switches reads besides."""

    least: float = setting(0.9, "Switches below it go.")


class Switches(Method):
    """A signed switch for each operation and a weight for each edge; what falls below a threshold goes for good."""

    Settings = SwitchSettings
    step = joint
    split = held_out(0.25)

    def __init__(self, config: SearchConfig, settings: Any = None) -> None:
        super().__init__(config, settings)
        self.terms = {"size": Term(0.01, WEIGHTS | ARCHITECTURE, per_example=False)}
        self.seen: list[tuple[int, int, float]] = []

    def parameters(
        self, groups: Mapping[str, CellGroup], add_weight: Callable[..., keras.Variable]
    ) -> Mapping[str, keras.Variable]:
        (group,) = groups.values()
        signs = np.where(np.arange(group.shape[1]) % 2, -1.0, 1.0) * np.ones(group.shape)
        self.switch = add_weight(name="switch", shape=group.shape, initializer="ones")
        self.switch.assign(signs)
        self.edge = add_weight(name="edge", shape=group.shape[:1], initializer="ones")
        self.mask = add_weight(name="mask", shape=group.shape, initializer="ones", trainable=False)
        return {"normal/switch": self.switch, "normal/edge": self.edge, "normal/mask": self.mask}

    def draw(self, seed: tf.Tensor | None) -> Draw:
        mixing = self.edge.value[:, None] * self.switch.value * self.mask.value
        return Draw({"normal": mixing / self.scheduled["temperature"].value}, seed)

    def values(self, draw: Draw, network: Network) -> dict[str, tf.Tensor]:
        return {"size": tf.reduce_sum(tf.abs(self.switch.value))}

    def optimizers(self, steps: int) -> tuple[keras.Optimizer, keras.Optimizer]:
        return keras.optimizers.SGD(0.01), keras.optimizers.SGD(0.05)

    def schedule(self, epoch: int) -> dict[str, float]:
        return {**super().schedule(epoch), "temperature": 2.0 - 0.5 * epoch}

    def after_epoch(self, epoch: int, model: keras.Model, images: SearchImages, watch: Watch = unwatched) -> None:
        self.seen.append((epoch, len(images.watched), float(self.scheduled["temperature"])))
        if epoch:
            ranks = np.argsort(np.argsort(np.abs(self.switch.numpy()), axis=-1), axis=-1)
            self.mask.assign(self.mask.numpy() * (ranks >= 2 * epoch))

    def preference(self, found: Found) -> dict[str, np.ndarray]:
        return found.of("mask")

    def columns(self, found: Found) -> Columns:
        return {"normal": {name: found.of(name)["normal"] for name in ("switch", "mask")}}

    def derive(self, found: Found | None) -> Genotype:
        assert found is not None
        mask = found.of("mask")["normal"]
        scores = {"normal": np.where(mask > 0, 1.0, -np.inf)}
        return select(scores, found.states, found.space.primitives, found.space, Choice(None, None))


def test_a_method_with_switches_masks_schedules_and_optimizers_of_its_own(tmp_path):
    vinnas_tf.register_method("switches", Switches)
    search = vinnas_tf.Search(method="switches", least=0.5, **SMALL)
    found = search.fit(*bright_and_dark())
    assert isinstance(search.method, Switches)
    # 48 images; a quarter is held out, as the method asks; the temperature is the epoch's.
    assert [(epoch, temperature) for epoch, _, temperature in search.method.seen] == [(0, 2.0), (1, 1.5), (2, 1.0)]
    assert all(6 <= count <= 18 for _, count, _ in search.method.seen)
    assert [row["temperature"] for row in found.history] == [2.0, 1.5, 1.0]
    assert found.trajectory["normal/mask"].sum(axis=(1, 2)).tolist() == [20, 16, 12]
    assert found.trajectory["normal/edge"].shape == (3, 2)
    # Every operation that the mask keeps is in the genotype, zero apart: several on an edge.
    kept = found.trajectory["normal/mask"][-1][:, :-1].sum()
    assert len(found.genotype.cells["normal"]) == kept > 4
    assert found.posterior is None
    found.save(tmp_path)
    assert Found.load(tmp_path / "posterior.json").of("mask")["normal"].sum() == 12
    network = vinnas_tf.build_network(
        Genotype.load(tmp_path / "genotype.json"), cells="N", channels=4, image_shape=(8, 8, 1), classes=2
    )
    x = np.random.default_rng(0).normal(size=(3, 8, 8, 1)).astype("float32")
    np.testing.assert_allclose(strip(network)(x), network(x, training=False), rtol=1e-3, atol=1e-4)


def test_the_flags_of_a_registered_method_are_its_own():
    vinnas_tf.register_method("switches", Switches)
    kinds = (DataConfig, SearchConfig)
    argv = ["--method=switches", "--least=0.3"]
    found = read_flags(argv, *kinds, command="search", usage="", variants=method_variants())
    assert found.variant == SwitchSettings(least=0.3)
    with pytest.raises(vinnas_tf.UserError, match="least is not read by method=darts, only by switches"):
        read_flags([*argv, "--method=darts"], *kinds, command="search", usage="", variants=method_variants())


@keras.saving.register_keras_serializable(package="toys")
class Squeeze(keras.layers.Layer):
    """A Keras layer of a contributor's own: channels weighted by what they hold."""

    def __init__(self, channels: int, stride: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.channels, self.stride = channels, stride
        self.gate = keras.layers.Dense(channels, activation="sigmoid")
        self.pool = keras.layers.AveragePooling2D(stride, padding="same")

    def build(self, input_shape: tuple) -> None:
        self.gate.build((input_shape[0], input_shape[-1]))

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return self.pool(x) * self.gate(tf.reduce_mean(x, [1, 2]))[:, None, None]

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return self.pool.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "channels": self.channels, "stride": self.stride}


def test_a_primitive_and_a_space_are_searched_trained_and_stripped(tmp_path, caplog):
    vinnas_tf.register_primitive("squeeze", Squeeze)
    primitives = ("sep_conv_3x3", "squeeze", "skip", "zero")
    vinnas_tf.register_space(dataclasses.replace(VINNAS, name="gated", primitives=primitives))
    settings = {**SMALL, "cells": "NR", "method": "darts", "space": "gated"}
    found = vinnas_tf.Search(**settings).fit(*bright_and_dark())
    assert found.trajectory["normal/mean"].shape == (3, 2, 4)
    # What the search mixes with all weight on it is the layer itself, normalised and behind ReLU.
    supergraph = vinnas_tf.make_supergraph(image_shape=(8, 8, 1), classes=2, **settings)
    operation = supergraph.cells[1].operations[0]
    x = np.random.default_rng(1).normal(size=(4, 8, 8, 8)).astype("float32")
    y = operation(x, tf.constant([[0.0, 1.0, 0.0, 0.0]])).numpy()
    (layer,) = operation.registered[1]
    raw = layer(x).numpy()
    normalized = (raw - raw.mean((0, 1, 2))) / np.sqrt(raw.var((0, 1, 2)) + 1e-3)
    np.testing.assert_allclose(y, np.maximum(normalized, 0), rtol=1e-3, atol=1e-4)
    assert all(any(variable is other for other in supergraph.weight_variables) for variable in layer.variables)
    cell = (Edge(2, 0, "squeeze"), Edge(2, 1, "sep_conv_3x3"))
    genotype = Genotype(1, {"normal": cell, "reduction": cell}, "gated")
    assert genotype.cells_without_weights == ()
    network = vinnas_tf.build_network(genotype, cells="NR", channels=4, image_shape=(8, 8, 1), classes=2)
    with caplog.at_level(logging.WARNING):
        stripped = strip(network)
    assert "cell_0_0to2_squeeze_layer" in caplog.text
    x = np.random.default_rng(0).normal(size=(3, 8, 8, 1)).astype("float32")
    np.testing.assert_allclose(stripped(x), network(x, training=False), rtol=1e-3, atol=1e-4)
    stripped.save(tmp_path / "network.keras")
    again = keras.saving.load_model(tmp_path / "network.keras")
    np.testing.assert_allclose(again(x), stripped(x), rtol=1e-5)
    vinnas_tf.draw_cells(genotype, None, tmp_path / "cells.png", tmp_path / "cells.svg")
    assert "squeeze" in (tmp_path / "cells.svg").read_text()


def test_what_is_registered_twice_or_cannot_work_is_refused():
    with pytest.raises(vinnas_tf.UserError, match="method darts is registered already"):
        vinnas_tf.register_method("darts", Switches)
    with pytest.raises(vinnas_tf.UserError, match="primitive skip is registered already"):
        vinnas_tf.register_primitive("skip", Squeeze)
    with pytest.raises(vinnas_tf.UserError, match="space vinnas is registered already"):
        vinnas_tf.register_space(VINNAS)
    with pytest.raises(vinnas_tf.UserError, match="warp: no such primitives"):
        vinnas_tf.register_space(dataclasses.replace(VINNAS, name="odd", primitives=("warp", "zero")))
    with pytest.raises(vinnas_tf.UserError, match="no primitive with a convolution"):
        vinnas_tf.register_space(dataclasses.replace(VINNAS, name="odd", primitives=("skip", "zero")))
    with pytest.raises(vinnas_tf.UserError, match="odd has factorizes=True, where ReLU comes first: set pre_activ"):
        vinnas_tf.register_space(dataclasses.replace(VINNAS, name="odd", factorizes=True))


def test_a_data_source():
    pixels, labels = bright_and_dark()

    def open_toys(config: DataConfig, watch: object) -> Source:
        names = [f"{config.dataset}/{index}" for index in range(len(labels))]
        everything = Part(labels.astype(np.int32), names, lambda index: pixels[index])
        return Source(("dark", "bright"), Preparation(8, 8, 1), with_drawn_test(everything))

    SOURCES["toys"] = open_toys
    data = DataConfig(dataset="toys:two")
    dataset, test = load_train(data, seed=0), load_test(data)
    assert dataset.class_names == ("dark", "bright")
    assert len(dataset.train) + len(test) == 48
    assert (test.images.mean((1, 2, 3)) > 100).tolist() == (test.labels == 1).tolist()


def test_an_export_format(tmp_path, monkeypatch):
    def write_bare(task: Task) -> Iterator[Written]:
        path = task.folder / "bare" / "float32.tflite"
        path.parent.mkdir()
        path.write_bytes(convert(task.source.network, "float32", task.images, sparse=False))
        yield Written("bare/float32.tflite", path, {"format": "bare"})

    monkeypatch.setitem(FORMATS, "bare", Format(write_bare, 1, False))
    monkeypatch.setattr(export_settings, "EXPORT_FORMATS", (*export_settings.EXPORT_FORMATS, "bare"))
    monkeypatch.setitem(OUTPUTS, "export", (*OUTPUTS["export"], "bare"))
    keras.utils.set_random_seed(0)
    pixels, labels = bright_and_dark()
    layers = [keras.Input((8, 8, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(2)]
    files = vinnas_tf.Exporter(formats=["bare"]).write(
        keras.Sequential(layers), tmp_path, proof=(pixels, labels), calibration=pixels
    )
    figures = files.manifest["files"]["bare/float32.tflite"]["figures"]
    assert (figures["images"], figures["agreement"]) == (48, 1.0)
    assert files.paths["bare/float32.tflite"].stat().st_size > 500
