"""The peer of variational pruning: point weights pruned by magnitude with TensorFlow Model Optimization.

    python -m benchmarks.magnitude_pruning --run_dir=runs/m

Takes a finished training, and trains the same network with point weights on the same
images, in the same order, for the same epochs, at the same learning rate. The share of
zeros rises over the epochs in which gamma 1 did, until as many weights are left as the
variational training kept. Prints both networks' test accuracy and non-zero parameters,
and writes them to train/magnitude_pruning.json. Needs pip install '.[benchmark]'.
"""

import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks.command import make_parser
from vinnas_tf.config import ConfigError, DataConfig, TrainConfig, require, restored
from vinnas_tf.data import Normalization, evaluation_batches, hold_out, load_test, load_train, training_batches
from vinnas_tf.evaluation import evaluate, recompute_batch_statistics
from vinnas_tf.files import write_atomically
from vinnas_tf.genotype import Genotype
from vinnas_tf.kernels.convolution import same_padding
from vinnas_tf.layers.convolution import VariationalConv2D, VariationalDense, VariationalDepthwiseConv2D
from vinnas_tf.pruning import count_parameters, total
from vinnas_tf.run_dir import stage_record
from vinnas_tf.train import make_network

_UPDATE_STEPS = 100  # Between two moves of the mask: the library's own default.


def legacy_keras() -> tuple[ModuleType, ModuleType]:
    """(tf_keras, tensorflow_model_optimization); importing the latter must not turn this process to legacy Keras."""
    before = os.environ.get("TF_USE_LEGACY_KERAS")
    try:
        import tensorflow_model_optimization as tfmot
        import tf_keras
    except ImportError as error:
        raise ConfigError(f"{error.name} is not installed: pip install '.[benchmark]'.") from error
    finally:
        if before is None:
            os.environ.pop("TF_USE_LEGACY_KERAS", None)
        else:
            os.environ["TF_USE_LEGACY_KERAS"] = before
    return tf_keras, tfmot


def twin(network: keras.Model, tf_keras: ModuleType, tfmot: ModuleType, schedule: Any) -> Any:
    """The same network in legacy Keras, every kernel wrapped for pruning; layers keep their names."""

    class Depthwise(tf_keras.layers.DepthwiseConv2D, tfmot.sparsity.keras.PrunableLayer):  # type: ignore[misc,name-defined]
        """The library leaves depthwise kernels alone unless a layer names them."""

        def get_prunable_weights(self) -> list:
            return [self.depthwise_kernel]

    def pruned(layer: Any) -> Any:
        return tfmot.sparsity.keras.prune_low_magnitude(layer, pruning_schedule=schedule, name=layer.name)

    def apply(layer: keras.layers.Layer, inputs: list) -> Any:
        layers = tf_keras.layers
        config = {"name": layer.name}
        if isinstance(layer, VariationalConv2D):
            shape = {"strides": layer.strides, "padding": "same", "use_bias": False}
            return pruned(layers.Conv2D(layer.filters, layer.kernel_size, **shape, **config))(*inputs)
        if isinstance(layer, VariationalDense):
            return pruned(layers.Dense(layer.units, **config))(*inputs)
        if isinstance(layer, VariationalDepthwiseConv2D):
            (x,), strides, dilation, padding = inputs, layer.strides[0], layer.dilation_rate, "same"
            if strides > 1 and dilation > 1:  # Keras has no such layer; it sees every other pixel of the padded image.
                sides = [
                    tuple(same_padding(x.shape[i + 1], (layer.kernel_size[i] - 1) * dilation + 1, strides))
                    for i in range(2)
                ]
                x = layers.MaxPooling2D(1, strides)(layers.ZeroPadding2D(sides)(x))
                strides, dilation, padding = 1, 1, "valid"
            shape = {"strides": strides, "dilation_rate": dilation, "padding": padding, "use_bias": False}
            return pruned(Depthwise(layer.kernel_size, **shape, **config))(x)
        if isinstance(layer, keras.layers.BatchNormalization):
            return layers.BatchNormalization(**config)(*inputs)
        plain = getattr(layers, type(layer).__name__)
        kept = ("pool_size", "strides", "padding")
        arguments = {name: value for name, value in layer.get_config().items() if name in kept}
        return plain(**arguments, **config)(inputs if len(inputs) > 1 else inputs[0])

    tensors: dict[int, Any] = {}
    for layer in network.layers:
        if isinstance(layer, keras.layers.InputLayer):
            tensors[id(layer.output)] = tf_keras.Input(layer.output.shape[1:])
            images = tensors[id(layer.output)]
            continue
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        tensors[id(layer.output)] = apply(layer, [tensors[id(tensor)] for tensor in inputs])
    return tf_keras.Model(images, tensors[id(network.output)])


def give_back(source: Any, network: keras.Model) -> None:
    """Copies the twin's weights, its pruning wrappers stripped, into the network that it was made from."""
    for layer in network.layers:
        variables = layer.weights
        if variables:
            values = source.get_layer(layer.name).get_weights()
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value.reshape(variable.shape))


def compare(run_dir: Path) -> dict[str, dict[str, float]]:
    """Trains and prunes the peer of a finished training; returns accuracy and counts of both."""
    record = stage_record(run_dir, "train")
    result = json.loads((run_dir / "train" / "result.json").read_text())
    data, config = restored(DataConfig, record["settings"]), restored(TrainConfig, record["settings"])
    require(config.variational, f"{run_dir} was trained with point weights: name a variational training.")
    keras.utils.set_random_seed(config.seed)
    dataset = load_train(data, config.seed)
    images, _ = hold_out(dataset.train, config.held_out, config.seed)
    normalization = Normalization.of(images)
    plain = dataclasses.replace(config, variational=False, drop_path=0.0, auxiliary_weight=0.0)
    genotype = Genotype.load(run_dir / "train" / "genotype.json")
    network = make_network(plain, genotype, dataset.train.images.shape[1:], len(dataset.class_names))
    steps = len(images) // config.batch_size
    tf_keras, tfmot = legacy_keras()
    schedule = tfmot.sparsity.keras.PolynomialDecay(
        initial_sparsity=0.0,
        final_sparsity=1 - result["weights_nonzero"] / result["weights_dense"],
        begin_step=config.gamma_start_epoch * steps,
        end_step=config.gamma_end_epoch * steps,
        frequency=_UPDATE_STEPS,
    )
    peer = twin(network, tf_keras, tfmot, schedule)
    peer.compile(
        tf_keras.optimizers.Adam(
            tf_keras.optimizers.schedules.CosineDecay(config.learning_rate, config.epochs * steps)
        ),
        tf_keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=config.label_smoothing),
        metrics=["accuracy"],
    )
    batches = training_batches(
        images,
        batch_size=config.batch_size,
        normalization=normalization,
        augment=data.augment,
        seed=config.seed,
        first_epoch=0,
        epochs=config.epochs,
    ).map(lambda x, y: (x, tf.one_hot(y, len(dataset.class_names))))
    peer.fit(
        batches,
        steps_per_epoch=steps,
        epochs=config.epochs,
        verbose=2,
        callbacks=[tfmot.sparsity.keras.UpdatePruningStep()],
    )
    give_back(tfmot.sparsity.keras.strip_pruning(peer), network)

    def normalized(some: Any) -> tf.data.Dataset:
        return evaluation_batches(some, batch_size=500, normalization=normalization)

    recompute_batch_statistics(network, normalized(images.take(np.linspace(0, len(images) - 1, 5000).astype(int))))
    counts = total(count_parameters(network))
    return {
        "variational": {
            "test_accuracy": result["test"]["stripped"]["accuracy"],
            "weights_nonzero": result["weights_nonzero"],
            "params_nonzero": result["params_nonzero"],
        },
        "magnitude": {
            "test_accuracy": evaluate(network, normalized(load_test(data))).accuracy,
            "weights_nonzero": counts.kernel_nonzero,
            "params_nonzero": counts.params_nonzero,
        },
    }


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = make_parser("benchmarks.magnitude_pruning", __doc__)
    parser.add_argument("--run_dir", type=Path, required=True, help="run folder with a finished training")
    arguments = parser.parse_args(argv)
    try:
        figures = compare(arguments.run_dir)
    except ConfigError as error:
        parser.exit(2, f"error: {error}\n")
    write_atomically(arguments.run_dir / "train" / "magnitude_pruning.json", json.dumps(figures, indent=2) + "\n")
    for name, row in figures.items():
        print(f"{name:<12}{row['test_accuracy']:>9.2%}{row['params_nonzero']:>10,} parameters not 0")


if __name__ == "__main__":
    main(sys.argv[1:])
