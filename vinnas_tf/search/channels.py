"""What comes after the last epoch of a search of channels: candidates, the best of them, and its network."""

from pathlib import Path

import keras
import numpy as np

from vinnas_tf.architecture.masks import Masks
from vinnas_tf.config import TrainConfig
from vinnas_tf.data.batches import Normalization, evaluation_batches
from vinnas_tf.data.picture import at_once
from vinnas_tf.data.search_images import SearchImages
from vinnas_tf.devices import ONE, Devices
from vinnas_tf.errors import require
from vinnas_tf.methods.channels import ChannelMethod
from vinnas_tf.network.costs import costs, largest_difference
from vinnas_tf.network.evaluation import evaluate, set_best_statistics
from vinnas_tf.network.masks import MaskedNetwork
from vinnas_tf.network.stripping import strip
from vinnas_tf.search.backbone import MaskedBackbone
from vinnas_tf.search.callbacks import MeasureStatistics
from vinnas_tf.search.candidates import Judge, best_candidate, draw_candidate, judge_candidates
from vinnas_tf.search.model import SearchModel
from vinnas_tf.search.record import SearchRecord
from vinnas_tf.search.result import ChannelResult
from vinnas_tf.train.callbacks import Rows
from vinnas_tf.train.fine_tuning import fine_tune
from vinnas_tf.train.images import TrainingImages
from vinnas_tf.train.progress import Progress

_BATCH = 500
_COMPARED = 1000  # Images that the stripped network is held against the masked one on.


def require_held_out(images: SearchImages) -> None:
    """Raises SettingError where no image is left to judge candidates by."""
    require(
        len(images.watched) > 0,
        f"of {len(images.weights)} training images none is held out, and candidates are judged by those: use more "
        "images of each class.",
    )


def measured_network(
    model: SearchModel, backbone: MaskedBackbone, images: SearchImages, normalization: Normalization
) -> MaskedNetwork:
    """The network of a search as candidates are judged, with the statistics that its images have under masks."""
    measure = MeasureStatistics(images.weights, normalization)
    measure.set_model(model)
    measure.on_test_begin()
    backbone.masked.set_statistics(model.statistics)
    return backbone.masked


def choose_channels(
    model: SearchModel,
    backbone: MaskedBackbone,
    images: SearchImages,
    normalization: Normalization,
    augment: tuple[str, ...],
    devices: Devices,
    record: SearchRecord,
    folder: Path | None,
    progress: Progress,
) -> ChannelResult:
    """Draws candidates from what was learnt, judges them, and makes the network of the best; no test image is read.

    Args:
        model: the trained search model.
        backbone: its network.
        images: those of the search; candidates are judged by the watched ones.
        normalization: statistics of the training images.
        augment: how images are augmented where the best is fine-tuned.
        devices: what fine-tuning computes on.
        record: its epochs.
        folder: where candidates.csv is written, and gone on with, and fine-tuning keeps its state; None: nowhere.
        progress: where words go.

    Raises:
        ArchitectureError: all candidates cut the network.
        DivergenceError: a loss of fine-tuning stopped being a finite number.
    """
    method, masked = backbone.method, measured_network(model, backbone, images, normalization)
    found = backbone.found(record.found(-1))
    weights, seed = masked.weights_of_channel, method.config.seed
    drop = method.candidate_rates(found, weights)
    judge = Judge(masked, images.watched, normalization)
    rows = judge_candidates(judge, masked, drop, method.settings.candidates, seed, folder, progress.go_through)
    chosen = best_candidate(rows)
    mask = draw_candidate(drop, seed, chosen)
    dropped = masked.dropped(mask)
    learnt_from = TrainingImages(images.weights, images.watched, normalization)
    tuning = fine_tune_candidate(dropped, learnt_from, augment, method, folder, progress, devices)
    network = strip(dropped, normalization.layer())
    size = at_once(_BATCH, images.watched.image_shape)
    some = images.watched.take(np.arange(min(_COMPARED, len(images.watched))))
    normalized, raw = (evaluation_batches(some, batch_size=size, normalization=n) for n in (normalization, None))
    watched = evaluation_batches(images.watched, batch_size=size, normalization=None)
    height, width, channels = images.watched.image_shape
    return ChannelResult(
        method=method,
        masks=Masks(
            method.backbone_settings(),
            (height, width, channels),
            masked.network.output.shape[-1],
            masked.groups,
            masked.split(mask),
        ),
        network=network,
        found=found,
        candidates=rows,
        chosen=chosen,
        held_out=evaluate(network, watched),
        costs=costs(masked.network, dropped, network),
        equal_rate=found.equal_rate(weights),
        fine_tuning_history=tuning,
        stripping_error=largest_difference((dropped, normalized), (network, raw)),
        epoch=len(record.rows),
        history=record.rows,
        trajectory=record.trajectory,
    )


def fine_tune_candidate(
    network: keras.Model,
    images: TrainingImages,
    augment: tuple[str, ...],
    method: ChannelMethod,
    folder: Path | None,
    progress: Progress,
    devices: Devices = ONE,
) -> Rows:
    """Trains the network of a candidate on, without masks, for as many epochs as the settings say, in place.

    Args:
        network: in which the slices of kernels that are dropped are zero, and stay so.
        images: of the search: those that it learnt from, and those held out.
        augment: how the former are augmented.
        method: its settings.
        folder: where a folder `fine_tuning` keeps the state; None keeps nothing.
        progress: where words go.
        devices: what it computes on.

    Returns:
        The figures of all epochs.

    Raises:
        DivergenceError: the loss stopped being a finite number.
    """
    search, epochs = method.config, method.settings.fine_tuning_epochs
    if not epochs:
        return []
    config = TrainConfig(
        variational=False,
        epochs=search.epochs,
        batch_size=search.batch_size,
        learning_rate=search.weight_learning_rate,
        label_smoothing=search.label_smoothing,
        fine_tuning_epochs=epochs,
        seed=search.seed,
    )
    history = fine_tune(network, images, augment, config, folder and folder / "fine_tuning", progress, devices)
    set_best_statistics(network, images.for_statistics(augment, search.seed), images.batches(images.held_out))
    return history
