"""What the search command leaves in a run folder: what was found and its figures first, and then the pictures."""

import json
from dataclasses import asdict

import numpy as np

from vinnas_tf.config import DataConfig
from vinnas_tf.console import counted, warn_of_learnt
from vinnas_tf.data import record as image_record
from vinnas_tf.data.batches import evaluation_batches
from vinnas_tf.data.image_set import ImageSet, fingerprint
from vinnas_tf.data.images import Dataset, load_test
from vinnas_tf.data.picture import at_once
from vinnas_tf.data.search_images import SearchImages
from vinnas_tf.network.evaluation import Evaluation, evaluate
from vinnas_tf.plots.cells import draw_cells
from vinnas_tf.plots.channels import draw_candidates, draw_masks
from vinnas_tf.plots.confusion import draw_confusion, write_confusion
from vinnas_tf.plots.posterior import draw_posterior
from vinnas_tf.run.files import write_atomically
from vinnas_tf.run.folder import RunDir
from vinnas_tf.search.board import write_pictures
from vinnas_tf.search.result import ChannelResult, SearchResult

_BATCH = 500


def write_cells(result: SearchResult, run: RunDir) -> None:
    """Writes genotype, posterior and pictures of a search of cells."""
    result.genotype.save(run.file("genotype.json"))
    if result.found is not None:
        result.found.save(run.file("posterior.json"), result.method.columns(result.found))
    values = result.edge_values
    draw_cells(result.genotype, values, run.file("cells.png"), run.file("cells.svg"))
    if values is not None:
        draw_posterior(values, result.genotype, run.file("posterior.png"))
    if result.found is not None:
        pictures = [run.file(name) for name in ("cells.png", "posterior.png")]
        write_pictures(pictures, run.file("tensorboard"), result.epoch - 1)
    run.mark_finished()


def write_channels(
    result: ChannelResult, images: SearchImages, dataset: Dataset, data: DataConfig, run: RunDir
) -> None:
    """Writes masks and network of a search of channels, reads the test images, and writes figures and pictures.

    Args:
        result: what was found; nothing is chosen after this.
        images: those of the search.
        dataset: names of the classes, and how images were prepared.
        data: what the test images are of.
        run: the opened run folder.
    """
    hashes = result.save(run.file(""))
    parts = {"train": images.weights, "held_out": images.watched, "test": load_test(data, counted)}
    test, names = parts["test"], dataset.class_names
    image_record.write(run.file(image_record.NAME), {**images.parts, "test": test}, names)
    learnt = warn_of_learnt(test.digests, np.concatenate([images.weights.digests, images.watched.digests]))
    evaluation = _evaluate(result, test)
    counts = {part: np.bincount(some.labels, minlength=len(names)).tolist() for part, some in parts.items()}
    content = {
        "dataset": data.dataset,
        "class_names": list(names),
        "image_shape": list(dataset.preparation.shape),
        "preparation": asdict(dataset.preparation),
        "train_images": len(images.weights),
        "class_counts": counts,
        **result.figures(),
        "test": {"stripped": evaluation.figures()},
        "test_fingerprint": fingerprint([test]),
        "test_images_learnt_from": learnt,
        **hashes,
    }
    write_confusion(evaluation.confusion, names, run.file("confusion.csv"))
    write_atomically(run.file("result.json"), json.dumps(content, indent=2) + "\n")
    draw_candidates(result.candidates, result.chosen, len(images.watched), run.file("candidates.png"))
    draw_masks(result.masks, result.found, run.file("masks.png"))
    draw_confusion(evaluation.confusion, names, f"{len(test):,} test images", run.file("confusion.png"))
    pictures = [run.file(name) for name in ("candidates.png", "masks.png")]
    write_pictures(pictures, run.file("tensorboard"), result.epoch - 1)
    print(_summary(result, evaluation))
    run.mark_finished()


def _evaluate(result: ChannelResult, test: ImageSet) -> Evaluation:
    size = at_once(_BATCH, test.image_shape)
    return evaluate(result.network, evaluation_batches(test, batch_size=size, normalization=None))


def _summary(result: ChannelResult, test: Evaluation) -> str:
    """What a person wants to know, in 80 columns."""
    accuracies = np.array([row["accuracy"] for row in result.candidates], float)
    dense, stored = result.costs["params_dense"], result.costs["params_stored"]
    flops = result.costs["flops"]
    tuned = [("fine-tuned, held-out accuracy", f"{result.held_out.accuracy:.2%}")] if result.fine_tuning_history else []
    rows = [
        ("candidates, held-out accuracy", f"{accuracies.mean():.2%} +- {accuracies.std():.2%}"),
        (f"best, number {result.chosen}", f"{accuracies[result.chosen]:.2%}"),
        *tuned,
        ("test accuracy", f"{test.accuracy:.2%}"),
        ("parameters", f"{stored:,} of {dense:,}"),
        ("MFLOPs an image", f"{flops['stripped'] / 1e6:.2f} of {flops['dense'] / 1e6:.2f}"),
    ]
    return "\n".join(f"{title:<32}{value:>32}" for title, value in rows)
