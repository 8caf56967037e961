"""What the compress command leaves in a run folder: networks, figures and records first, and then the pictures."""

import json
from dataclasses import asdict

import numpy as np

from vinnas_tf.compress.report import units_table
from vinnas_tf.compress.stage import Compression
from vinnas_tf.config import CompressConfig, DataConfig
from vinnas_tf.console import warn_of_learnt
from vinnas_tf.data import record as image_record
from vinnas_tf.data.image_set import ImageSet, fingerprint
from vinnas_tf.data.images import Dataset
from vinnas_tf.network.evaluation import Evaluation, evaluate
from vinnas_tf.network.files import save_network
from vinnas_tf.plots.compression import draw_curve, draw_units
from vinnas_tf.plots.confusion import draw_confusion, write_confusion
from vinnas_tf.run.digest import sha256_of
from vinnas_tf.run.files import write_atomically, write_metrics
from vinnas_tf.run.folder import RunDir
from vinnas_tf.run.outputs import NETWORK
from vinnas_tf.train.images import TrainingImages, batches_to_evaluate

FORMAT = "vinnas_tf compression 1"
DENSE_NETWORK = "network_dense.keras"


def write_outputs(
    compression: Compression,
    images: TrainingImages,
    test: ImageSet,
    dataset: Dataset,
    data: DataConfig,
    config: CompressConfig,
    run: RunDir,
    learnt_before: np.ndarray,
) -> str:
    """Evaluates on test images, and writes all that the run folder's `compress/` holds beside the state of the points.

    Args:
        compression: what came of it; nothing is chosen after this.
        images: those that it learnt from and chose by.
        test: the test images.
        dataset: names of the classes, and how images were prepared.
        data: what they are of.
        config: the settings.
        run: the opened run folder.
        learnt_before: digests of images that an earlier stage learnt from.

    Returns:
        What a person wants to know, in 80 columns.
    """
    names, compressed, dense = dataset.class_names, compression.compressed, compression.dense
    parts = {"training": images.learnt_from, "held_out": images.held_out, "test": test}
    image_record.write(run.file(image_record.NAME), parts, names)
    digests = np.concatenate([images.learnt_from.digests, images.held_out.digests, learnt_before])
    learnt = warn_of_learnt(test.digests, digests)
    networks = {"dense": dense.network, "stripped": compressed.network}
    evaluations = {name: evaluate(network, batches_to_evaluate(test, None)) for name, network in networks.items()}
    points = {"dense": dense.point, "stripped": compressed.point}
    layers = [asdict(one) for one in compressed.units]
    described = {
        "format": FORMAT,
        "groups": config.groups,
        "penalty": compressed.point.penalty,
        "determined": config.determined,
        "layers": layers,
    }
    write_atomically(run.file("compression.json"), json.dumps(described, indent=2) + "\n")
    content = {
        "dataset": data.dataset,
        "class_names": list(names),
        "image_shape": list(dataset.preparation.shape),
        "preparation": asdict(dataset.preparation),
        "seed": config.seed,
        "class_counts": {part: np.bincount(some.labels, minlength=len(names)).tolist() for part, some in parts.items()},
        "train_images": len(images.learnt_from),
        "penalty": compressed.point.penalty,
        "chosen": compression.chosen.reason,
        "held_out": {name: {"accuracy": of.accuracy, "images": len(images.held_out)} for name, of in points.items()},
        "bytes": {name: of.bytes for name, of in points.items()},
        **compressed.costs,
        "stripping_error": compressed.stripping_error,
        "test": {name: found.figures() for name, found in evaluations.items()},
        "test_fingerprint": fingerprint([test]),
        "test_images_learnt_from": learnt,
        "compression_sha256": sha256_of(run.file("compression.json")),
        "network_sha256": save_network(compressed.network, run.file(NETWORK)),
        "dense_network_sha256": save_network(dense.network, run.file(DENSE_NETWORK)),
    }
    write_metrics(run.file("metrics.csv"), compression.history)
    confusion = evaluations["stripped"].confusion
    write_confusion(confusion, names, run.file("confusion.csv"))
    write_atomically(run.file("result.json"), json.dumps(content, indent=2) + "\n")
    rows = [asdict(point) for point in (dense.point, *compression.points)]
    reason = compression.chosen.reason
    draw_curve(rows, compressed.point.penalty, len(images.held_out), reason, run.file("curve.png"))
    title = f"{compressed.point.parameters:,} of {dense.point.parameters:,} parameters left"
    draw_units(layers, title, run.file("units.png"))
    draw_confusion(confusion, names, f"{len(test):,} test images", run.file("confusion.png"))
    run.mark_finished()
    return f"{_summary(compression, evaluations)}\n{units_table(compressed.units)}"


def _summary(compression: Compression, test: dict[str, Evaluation]) -> str:
    """The figures of the network before and after."""
    before, after = compression.dense, compression.compressed
    columns = [
        (
            title,
            f"{one.point.accuracy:.2%}",
            f"{test[name].accuracy:.2%}",
            f"{one.point.parameters:,}",
            f"{one.point.bytes:,}",
            f"{one.point.flops / 1e6:.3f}",
        )
        for title, name, one in (("dense", "dense", before), ("compressed", "stripped", after))
    ]
    titles = ("", "held-out accuracy", "test accuracy", "parameters", "bytes of float32 TFLite", "MFLOPs an image")
    return "\n".join(f"{title:<34}{dense:>22}{left:>22}" for title, dense, left in zip(titles, *columns, strict=True))
