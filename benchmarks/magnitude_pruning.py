"""The peer of variational pruning: deterministic weights pruned by magnitude with TensorFlow Model Optimization.

    python -m benchmarks.magnitude_pruning --run_dir=runs/m

Takes a finished training, and trains the same network with deterministic weights, from the
same initial means, on the same images, in the same order, for as many epochs. (Those of
fine-tuning go on in the same way: one order of images, one cosine of the learning rate
over all.) In each layer the share of zeros rises over the epochs in which gamma 1 did,
until as many weights are left as the variational training kept there: the library's one
share for all layers would be a weaker peer. Batch statistics are taken as in a training.
Prints both networks' test accuracy and non-zero parameters, and writes them to
train/magnitude_pruning.json. The same command resumes. Needs
pip install '.[benchmark]'.
"""

if __name__ == "__main__":
    import vinnas_tf.run.startup  # noqa: F401

# isort: split
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from benchmarks.command import make_parser, path_option
from benchmarks.magnitude_peer import give_back, legacy_keras, pruning_steps, train_peer, twin
from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.config import DataConfig, TrainConfig, restored
from vinnas_tf.data.batches import training_batches
from vinnas_tf.data.images import load_test, load_train
from vinnas_tf.errors import UserError, require
from vinnas_tf.network.evaluation import evaluate, set_best_statistics
from vinnas_tf.network.pruning import count_parameters, total
from vinnas_tf.run.files import write_atomically
from vinnas_tf.run.folder import stage_record
from vinnas_tf.run.outputs import finished_file
from vinnas_tf.train.images import TrainingImages
from vinnas_tf.train.stage import make_network


def compare(run_dir: Path) -> dict[str, Any]:
    """Trains and prunes the peer of a finished training; returns accuracy and counts of both."""
    record = stage_record(run_dir, "train")
    result = json.loads((run_dir / "train" / "result.json").read_text(encoding="utf-8"))
    data, config = restored(DataConfig, record["settings"]), restored(TrainConfig, record["settings"])
    require(config.variational, f"{run_dir} was trained with deterministic weights: name a variational training.")
    require(
        not (config.drop_path or config.auxiliary_weight),
        f"{run_dir} was trained with drop path or an auxiliary tower, which the peer has not: name a training without.",
    )
    for name in (
        "optimizer",
        "schedule",
        "schedule_epochs",
        "final_learning_rate",
        "warm_up_epochs",
        "weight_decay",
        "clip_norm",
    ):
        default, value = getattr(TrainConfig, name), getattr(config, name)
        require(
            value == default,
            f"{run_dir} was trained with --{name}={value}, and the peer has {default}: name a training without it.",
        )
    require(
        config.gamma_start_epoch < config.gamma_end_epoch,
        f"{run_dir} was trained with a gamma 1 that jumps, and the peer's sparsity rises as gamma 1 did: "
        "name a training with --gamma_start_epoch below --gamma_end_epoch.",
    )
    keras.utils.set_random_seed(config.seed)
    dataset = load_train(data, config.seed)
    require(
        dataset.fingerprint == record["data_fingerprint"],
        f"the images of {run_dir} have changed since it was trained: train again.",
    )
    images = TrainingImages.of(dataset, config.held_out, config.seed)
    genotype = Genotype.load(finished_file(run_dir, "train", "genotype.json"))
    classes = len(dataset.class_names)
    weights = tf.constant(images.class_weights(config, classes), tf.float32)
    plain = dataclasses.replace(config, variational=False)
    network = make_network(plain, genotype, dataset.train.image_shape, classes)
    steps = len(images.learnt_from) // config.batch_size
    all_epochs = config.epochs + config.fine_tuning_epochs
    tf_keras, tfmot = legacy_keras()
    begin = config.gamma_start_epoch * steps
    end, frequency = pruning_steps(begin, config.gamma_end_epoch * steps)

    def schedule(layer: keras.layers.Layer) -> Any:
        kept, dense = (result["layers"][layer.name][name] for name in ("weights_nonzero", "weights_dense"))
        # Of a layer of which nothing is left the library keeps one weight.
        return tfmot.sparsity.keras.PolynomialDecay(0.0, 1 - max(kept, 1) / dense, begin, end, frequency=frequency)

    peer = twin(network, tf_keras, tfmot, schedule)
    peer.compile(
        tf_keras.optimizers.Adam(tf_keras.optimizers.schedules.CosineDecay(config.learning_rate, all_epochs * steps)),
        tf_keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=config.label_smoothing),
        metrics=["accuracy"],
    )

    def batches(first_epoch: int) -> tf.data.Dataset:
        return training_batches(
            images.learnt_from,
            batch_size=config.batch_size,
            normalization=images.normalization,
            augment=data.augment,
            seed=config.seed,
            first_epoch=first_epoch,
            epochs=all_epochs,
        ).map(lambda x, y: (x, tf.one_hot(y, classes), tf.gather(weights, y)))

    # By what it is the peer of: the same folder may be pruned at another threshold later.
    folder = run_dir / "train" / "magnitude_pruning" / result["network_sha256"][:12]
    give_back(train_peer(peer, (tf_keras, tfmot), batches, steps, all_epochs, folder), network)

    candidates = images.for_statistics(data.augment, config.seed)
    set_best_statistics(network, candidates, images.batches(images.to_choose_by))
    counts = total(count_parameters(network))
    return {
        "seed": config.seed,
        "network_sha256": result["network_sha256"],
        "variational": {
            "test_accuracy": result["test"]["stripped"]["accuracy"],
            "weights_nonzero": result["weights_nonzero"],
            "params_nonzero": result["params_nonzero"],
        },
        "magnitude": {
            "test_accuracy": evaluate(network, images.batches(load_test(data))).accuracy,
            "weights_nonzero": counts.kernel_nonzero,
            "params_nonzero": counts.params_nonzero,
        },
    }


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = make_parser("benchmarks.magnitude_pruning", __doc__)
    parser.add_argument("--run_dir", type=path_option, required=True, help="run folder with a finished training")
    arguments = parser.parse_args(argv)
    path = arguments.run_dir / "train" / "magnitude_pruning.json"
    try:
        figures = compare(arguments.run_dir)
        write_atomically(path, json.dumps(figures, indent=2) + "\n")
    except UserError as error:
        parser.exit(2, f"error: {error}\n")
    for name in ("variational", "magnitude"):
        row = figures[name]
        print(f"{name:<12}{row['test_accuracy']:>9.2%}{row['params_nonzero']:>10,} parameters not 0")


if __name__ == "__main__":
    main(sys.argv[1:])
