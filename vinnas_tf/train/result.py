"""From a trained network to what is shipped: pruned, stripped, measured and written."""

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vinnas_tf.config import DataConfig, TrainConfig
from vinnas_tf.console import counted, warn_of_learnt
from vinnas_tf.data import record as image_record
from vinnas_tf.data.images import Dataset, fingerprint, load_test
from vinnas_tf.network.build import copy_weights, point_network
from vinnas_tf.network.evaluation import Evaluation, evaluate, set_batch_statistics, set_best_statistics
from vinnas_tf.network.flop import count_flops
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
from vinnas_tf.plots.confusion import draw_confusion, write_confusion
from vinnas_tf.plots.pruning import draw_sparsity, draw_threshold
from vinnas_tf.run.files import read_metrics, write_atomically, write_metrics
from vinnas_tf.run.folder import RunDir
from vinnas_tf.train.epochs import evaluation_steps, run_epochs
from vinnas_tf.train.images import TrainingImages
from vinnas_tf.train.model import TrainModel
from vinnas_tf.train.report import threshold_advice

_THRESHOLDS = tuple(range(-6, 9))
# Fine-tuning starts at this share of training's first learning rate, and falls along a cosine too.
_FINE_TUNING_RATE = 0.1
_NO_ADVICE = """\
No image is held out: threshold.csv has the accuracy on training images, which is
too good, and no threshold is recommended."""


def finish(
    network: keras.Model,
    images: TrainingImages,
    data: DataConfig,
    config: TrainConfig,
    dataset: Dataset,
    run: RunDir,
    learnt_before: np.ndarray,
) -> dict[str, Any]:
    """Prunes, strips, measures and writes; in a training, the only place that reads test images.

    Args:
        network: the trained network; it is pruned in place.
        images: those that it was trained on, and those to choose by.
        data: where the test images are.
        config: threshold and fine-tuning.
        dataset: names of the classes, and how images were prepared.
        run: the opened run folder.
        learnt_before: digests of images that an earlier stage learnt from.

    Returns:
        The content of result.json.
    """
    candidates, watched = images.for_statistics(data.augment, config.seed), images.batches(images.to_choose_by)
    dense, pruned = point_network(network), point_network(network)
    # Once, for all that comes of this training: or a change of statistics would look like an effect of pruning.
    statistics, _ = set_best_statistics(dense, candidates, watched)

    def evaluate_pruned(model: keras.Model) -> Evaluation:
        copy_weights(model, pruned)
        set_batch_statistics(pruned, statistics)
        return evaluate(pruned, watched)

    if config.variational:
        thresholds = sorted({*_THRESHOLDS, config.log_noise_ratio_threshold}, reverse=True)
        part = "held-out" if len(images.held_out) else "training"
        described = f"{len(images.to_choose_by):,} {part} images"
        title = f"Prunes at {len(thresholds)} thresholds, on {described}"
        curve = threshold_curve(network, counted(title, thresholds), evaluate_pruned)
        _tell_curve(curve, config, described, bool(len(images.held_out)), run)
        prune(network, config.log_noise_ratio_threshold)
    evaluate_pruned(network)
    networks = {"dense": strip(dense, images.normalization.layer()), "pruned": pruned}
    seconds = _seconds(run.file(""))
    last = pruned
    if config.fine_tuning_epochs:
        # By what it starts from and how far it goes: the same folder may be pruned again at another threshold.
        folder = run.file("fine_tuning") / f"{config.log_noise_ratio_threshold:g}_{config.fine_tuning_epochs}"
        last = networks["fine_tuned"] = point_network(network)
        _fine_tune(last, images, data, config, folder)
        set_best_statistics(last, candidates, watched)
        seconds += _seconds(folder)
    networks["stripped"] = strip(last, images.normalization.layer())
    class_names, test = dataset.class_names, load_test(data)
    parts = {"held_out": images.held_out, "test": test}
    image_record.write(run.file(image_record.NAME), {"training": images.learnt_from, **parts}, class_names)
    known = np.concatenate([images.learnt_from.digests, images.held_out.digests, learnt_before])
    learnt = warn_of_learnt(test.digests, known)
    evaluations: dict[str, dict[str, Evaluation]] = {}
    for part, some in parts.items():
        if len(some):
            title = f"Evaluates {len(networks)} networks on {len(some):,} {part.replace('_', '-')} images"
            evaluations[part] = {
                name: evaluate(model, images.batches(some, normalized=name in ("pruned", "fine_tuned")))
                for name, model in counted(title, list(networks.items()))
            }
    result = {
        "dataset": data.dataset,
        "class_names": class_names,
        "image_shape": images.learnt_from.images.shape[1:],
        "preparation": asdict(dataset.preparation),
        "test_fingerprint": fingerprint([test]),
        "test_images_learnt_from": learnt,
        "seed": config.seed,
        "train_images": len(images.learnt_from),
        "class_counts": {
            part: np.bincount(some.labels, minlength=len(class_names)).tolist()
            for part, some in {"train": images.learnt_from, **parts}.items()
        },
        "log_noise_ratio_threshold": config.log_noise_ratio_threshold if config.variational else None,
        **{part: {name: found.figures() for name, found in row.items()} for part, row in evaluations.items()},
        **_costs(dense, last, networks["stripped"]),
        "stripping_error": _largest_difference(
            (last, watched), (networks["stripped"], images.batches(images.to_choose_by, normalized=False))
        ),
        "genotype_sha256": hashlib.sha256(run.file("genotype.json").read_bytes()).hexdigest(),
        "network_sha256": _save(networks["stripped"], run.file("network.keras")),
        "dense_network_sha256": _save(networks["dense"], run.file("network_dense.keras")),
        "train_seconds": round(seconds, 1),
    }
    draw_sparsity(count_parameters(last), run.file("sparsity.png"))
    confusion = evaluations["test"]["stripped"].confusion
    write_confusion(confusion, class_names, run.file("confusion.csv"))
    draw_confusion(confusion, class_names, f"{len(parts['test']):,} test images", run.file("confusion.png"))
    write_atomically(run.file("result.json"), json.dumps(result, indent=2) + "\n")
    run.mark_finished()
    return result


def _tell_curve(curve: Sequence[ThresholdPoint], config: TrainConfig, images: str, held_out: bool, run: RunDir) -> None:
    """Writes the threshold's curve, and says what it recommends; on training images, nothing."""
    used = config.log_noise_ratio_threshold
    write_metrics(run.file("threshold.csv"), [asdict(point) for point in curve])
    recommended = sparsest_within_error(curve) if held_out else None
    draw_threshold(curve, used, recommended, images, run.file("threshold.png"))
    print(threshold_advice(curve, used, bool(config.fine_tuning_epochs)) if held_out else _NO_ADVICE, flush=True)


def steps_to_finish(images: TrainingImages, config: TrainConfig, test_images: int) -> float:
    """Roughly how many steps of training take as long as `finish`."""
    thresholds = len(_THRESHOLDS) if config.variational else 0
    networks = 4 if config.fine_tuning_epochs else 3
    evaluated = thresholds * (images.of_statistics + len(images.to_choose_by))
    evaluated += networks * (len(images.held_out) + test_images)
    steps = len(images.learnt_from) // config.batch_size
    return config.fine_tuning_epochs * steps + evaluation_steps(evaluated, config)


def _costs(dense: keras.Model, pruned: keras.Model, stripped: keras.Model) -> dict[str, Any]:
    """Parameters and operations, of the network and of each layer: trained, not zero, and stored after stripping."""
    before, after, stored = (count_parameters(model) for model in (dense, pruned, stripped))
    flops = {"dense": count_flops(dense), "stripped": count_flops(stripped)}
    none = ParameterCount()
    return {
        "params_dense": total(before).params_dense,
        "params_nonzero": total(after).params_nonzero,
        "params_stored": total(stored).params_dense,
        "params_stored_nonzero": total(stored).params_nonzero,
        "weights_dense": total(before).kernel_dense,
        "weights_nonzero": total(after).kernel_nonzero,
        "flops": {
            "dense": flops["dense"].dense,
            "stripped": flops["stripped"].dense,
            "stripped_nonzero": flops["stripped"].nonzero,
        },
        # Stripping may add a layer, for what vanished channels added to others.
        "layers": {
            name: {
                "params_dense": before.get(name, none).params_dense,
                "params_nonzero": after.get(name, none).params_nonzero,
                "params_stored": stored.get(name, none).params_dense,
                "weights_dense": before.get(name, none).kernel_dense,
                "weights_nonzero": after.get(name, none).kernel_nonzero,
            }
            for name in before | stored
        },
    }


def _largest_difference(*networks: tuple[keras.Model, tf.data.Dataset]) -> float:
    """Largest absolute difference of a logit between two networks, each with its own form of the same images."""
    outputs = [[model(images, training=False) for images, _ in batches] for model, batches in networks]
    return max(float(np.abs(a - b).max()) for a, b in zip(*outputs, strict=True))


def _seconds(folder: Path) -> float:
    """Seconds of all epochs in a folder's metrics.csv."""
    return sum(float(row["seconds"] or 0.0) for row in read_metrics(folder / "metrics.csv"))


def _save(model: keras.Model, path: Path) -> str:
    """Writes a .keras file whole or not at all, and returns its SHA-256."""
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / path.name)
        content = (Path(folder) / path.name).read_bytes()
    write_atomically(path, content)
    return hashlib.sha256(content).hexdigest()


def _fine_tune(
    network: keras.Model,
    images: TrainingImages,
    data: DataConfig,
    config: TrainConfig,
    folder: Path,
) -> None:
    """Trains what pruning left, without noise, in place; resumes where it was interrupted."""
    epochs = config.fine_tuning_epochs
    model = TrainModel(
        network,
        examples=len(images.learnt_from),
        label_smoothing=config.label_smoothing,
        class_weights=images.class_weights(config, network.output.shape[-1]),
        keep_zeros=True,
    )
    steps = len(images.learnt_from) // config.batch_size
    rate = keras.optimizers.schedules.CosineDecay(_FINE_TUNING_RATE * config.learning_rate, epochs * steps)
    model.compile(keras.optimizers.Adam(rate))
    print("Fine-tunes what is left, without noise.", flush=True)
    seed = config.seed + config.epochs  # Other orders and crops than in training.
    run_epochs(model, images, data, config, folder, epochs=epochs, seed=seed)
