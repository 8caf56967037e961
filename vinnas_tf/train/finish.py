"""From a trained network to what is shipped: pruned, fine-tuned, stripped and measured. No test image is read."""

from pathlib import Path

import keras
import numpy as np

from vinnas_tf.config import TrainConfig
from vinnas_tf.data.images import Dataset
from vinnas_tf.devices import Devices
from vinnas_tf.network.build import copy_weights, deterministic_network
from vinnas_tf.network.costs import costs, largest_difference
from vinnas_tf.network.evaluation import Evaluation, evaluate, set_batch_statistics, set_best_statistics
from vinnas_tf.network.pruning import ThresholdPoint, prune, threshold_curve
from vinnas_tf.network.stripping import strip
from vinnas_tf.train.callbacks import Rows
from vinnas_tf.train.epochs import evaluation_steps
from vinnas_tf.train.fine_tuning import fine_tune
from vinnas_tf.train.images import TrainingImages
from vinnas_tf.train.progress import Progress
from vinnas_tf.train.report import NO_ADVICE, threshold_advice
from vinnas_tf.train.result import TrainResult, evaluate_all

_THRESHOLDS = tuple(range(-6, 9))


def finish(
    network: keras.Model,
    images: TrainingImages,
    dataset: Dataset,
    augment: tuple[str, ...],
    config: TrainConfig,
    history: Rows,
    folder: Path | None,
    progress: Progress,
    devices: Devices,
) -> TrainResult:
    """Prunes, strips and measures.

    Args:
        network: the trained network; it is pruned in place.
        images: those that it was trained on, and those to choose by.
        dataset: names of the classes, and how images were prepared.
        augment: how images were augmented.
        config: threshold and fine-tuning.
        history: figures of the epochs of training.
        folder: where fine-tuning keeps its state; None keeps nothing.
        progress: where the training's words go.
        devices: what fine-tuning computes on.
    """
    candidates, watched = images.for_statistics(augment, config.seed), images.batches(images.to_choose_by)
    dense, pruned = deterministic_network(network), deterministic_network(network)
    # Once, for all that comes of this training: or a change of statistics would look like an effect of pruning.
    statistics, _ = set_best_statistics(dense, candidates, watched)

    def evaluate_pruned(model: keras.Model) -> Evaluation:
        copy_weights(model, pruned)
        set_batch_statistics(pruned, statistics)
        return evaluate(pruned, watched)

    curve: list[ThresholdPoint] = []
    if config.variational:
        thresholds = sorted({*_THRESHOLDS, config.log_noise_ratio_threshold}, reverse=True)
        title = f"Prunes at {len(thresholds)} thresholds, on {images.described_choice}"
        curve = threshold_curve(network, progress.go_through(title, thresholds), evaluate_pruned)
        progress.tell(
            threshold_advice(
                curve, config.log_noise_ratio_threshold, bool(config.fine_tuning_epochs), progress.prune_again
            )
            if len(images.held_out)
            else NO_ADVICE
        )
        prune(network, config.log_noise_ratio_threshold)
    evaluate_pruned(network)
    networks = {"dense": strip(dense, images.normalization.layer()), "pruned": pruned}
    last, fine_tuning = pruned, Rows()
    if config.fine_tuning_epochs:
        last = networks["fine_tuned"] = deterministic_network(network)
        # By what it starts from and how far it goes: the same folder may be pruned again at another threshold.
        name = f"{config.log_noise_ratio_threshold:g}_{config.fine_tuning_epochs}"
        kept = folder and folder / "fine_tuning" / name
        fine_tuning = fine_tune(last, images, augment, config, kept, progress, devices)
        set_best_statistics(last, candidates, watched)
    networks["stripped"] = strip(last, images.normalization.layer())
    held_out = images.held_out
    parts = {"train": images.learnt_from, "held_out": held_out}
    return TrainResult(
        networks=networks,
        config=config,
        class_names=dataset.class_names,
        preparation=dataset.preparation,
        normalization=images.normalization,
        class_counts={
            part: np.bincount(some.labels, minlength=len(dataset.class_names)).tolist() for part, some in parts.items()
        },
        held_out=evaluate_all(networks, "held-out", held_out, images.normalization, progress) if len(held_out) else {},
        curve=tuple(curve),
        costs=costs(dense, last, networks["stripped"]),
        stripping_error=largest_difference(
            (last, watched), (networks["stripped"], images.batches(images.to_choose_by, normalized=False))
        ),
        history=history,
        fine_tuning_history=fine_tuning,
        samples=images.learnt_from.sample(),
        digests=np.concatenate([images.learnt_from.digests, held_out.digests]),
    )


def steps_to_finish(images: TrainingImages, config: TrainConfig, test_images: int) -> float:
    """Roughly how many steps of training take as long as `finish`, and as an evaluation of so many test images."""
    thresholds = len(_THRESHOLDS) if config.variational else 0
    networks = 4 if config.fine_tuning_epochs else 3
    evaluated = thresholds * (images.of_statistics + len(images.to_choose_by))
    evaluated += networks * (len(images.held_out) + test_images)
    steps = len(images.learnt_from) // config.batch_size
    return config.fine_tuning_epochs * steps + evaluation_steps(evaluated, config)
