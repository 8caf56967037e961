"""What the train command leaves in a run folder: networks, figures and records first, and then the pictures."""

import json
from typing import Any

import numpy as np

from vinnas_tf.config import DataConfig
from vinnas_tf.console import warn_of_learnt
from vinnas_tf.data import record as image_record
from vinnas_tf.data.image_set import ImageSet, fingerprint
from vinnas_tf.network.pruning import count_parameters, sparsest_within_error
from vinnas_tf.plots.confusion import draw_confusion, write_confusion
from vinnas_tf.plots.pruning import draw_sparsity, draw_threshold
from vinnas_tf.run.digest import sha256_of
from vinnas_tf.run.files import write_atomically
from vinnas_tf.run.folder import RunDir
from vinnas_tf.train.images import TrainingImages
from vinnas_tf.train.progress import Progress
from vinnas_tf.train.result import TrainResult


def write_outputs(
    trained: TrainResult,
    images: TrainingImages,
    test: ImageSet,
    data: DataConfig,
    run: RunDir,
    learnt_before: np.ndarray,
    progress: Progress,
) -> dict[str, Any]:
    """Evaluates on test images, and writes all that the run folder's `train/` holds beside the state of the training.

    Args:
        trained: what came of the training.
        images: those that it learnt from and chose by.
        test: the test images.
        data: what they are of.
        run: the opened run folder; its `genotype.json` is written.
        learnt_before: digests of images that an earlier stage learnt from.
        progress: where words go.

    Returns:
        The content of result.json.
    """
    class_names = trained.class_names
    parts = {"training": images.learnt_from, "held_out": images.held_out, "test": test}
    image_record.write(run.file(image_record.NAME), parts, class_names)
    learnt = warn_of_learnt(test.digests, np.concatenate([trained.digests, learnt_before]))
    evaluations = trained.evaluate_all("test", test, progress)
    figures = trained.figures()
    counts = {**figures["class_counts"], "test": np.bincount(test.labels, minlength=len(class_names)).tolist()}
    result = {
        "dataset": data.dataset,
        **figures,
        "test_fingerprint": fingerprint([test]),
        "test_images_learnt_from": learnt,
        "class_counts": counts,
        "test": {name: found.figures() for name, found in evaluations.items()},
        "genotype_sha256": sha256_of(run.file("genotype.json")),
        **trained.save_networks(run.file("")),
    }
    confusion = evaluations["stripped"].confusion
    write_confusion(confusion, class_names, run.file("confusion.csv"))
    write_atomically(run.file("result.json"), json.dumps(result, indent=2) + "\n")
    draw_confusion(confusion, class_names, f"{len(test):,} test images", run.file("confusion.png"))
    draw_sparsity(count_parameters(trained.unstripped), run.file("sparsity.png"))
    if trained.curve:
        recommended = sparsest_within_error(trained.curve) if trained.held_out else None
        used = trained.config.log_noise_ratio_threshold
        draw_threshold(trained.curve, used, recommended, images.described_choice, run.file("threshold.png"))
    run.mark_finished()
    return result
