"""What comes after the last epoch of a search of channels: candidates, the best of them, and its network."""

from pathlib import Path

import numpy as np

from vinnas_tf.architecture.masks import Masks
from vinnas_tf.data.batches import Normalization, evaluation_batches
from vinnas_tf.data.picture import at_once
from vinnas_tf.data.picture_index import Watch
from vinnas_tf.data.search_images import SearchImages
from vinnas_tf.errors import require
from vinnas_tf.network.costs import costs, largest_difference
from vinnas_tf.network.evaluation import evaluate
from vinnas_tf.network.stripping import strip
from vinnas_tf.search.backbone import MaskedBackbone
from vinnas_tf.search.callbacks import MeasureStatistics
from vinnas_tf.search.candidates import Judge, best_candidate, draw_candidate, judge_candidates
from vinnas_tf.search.model import SearchModel
from vinnas_tf.search.record import SearchRecord
from vinnas_tf.search.result import ChannelResult

_BATCH = 500
_COMPARED = 1000  # Images that the stripped network is held against the masked one on.


def require_held_out(images: SearchImages) -> None:
    """Raises SettingError where no image is left to judge candidates by."""
    require(
        len(images.watched) > 0,
        f"of {len(images.weights)} training images none is held out, and candidates are judged by those: use more "
        "images of each class.",
    )


def choose_channels(
    model: SearchModel,
    backbone: MaskedBackbone,
    images: SearchImages,
    normalization: Normalization,
    record: SearchRecord,
    folder: Path | None,
    watch: Watch,
) -> ChannelResult:
    """Draws candidates from what was learnt, judges them, and makes the network of the best; no test image is read.

    Args:
        model: the trained search model.
        backbone: its network.
        images: those of the search; candidates are judged by the watched ones.
        normalization: statistics of the training images.
        record: its epochs.
        folder: where candidates.csv is written, and gone on with; None: nowhere.
        watch: goes through the candidates, and tells how far it is.

    Raises:
        ArchitectureError: all candidates cut the network.
    """
    method, masked = backbone.method, backbone.masked
    measure = MeasureStatistics(images.weights, normalization)
    measure.set_model(model)
    measure.on_test_begin()
    masked.set_statistics(model.statistics)
    found = backbone.found(record.found(-1))
    drop, seed = found.of_channels, method.config.seed
    judge = Judge(masked, images.watched, normalization)
    rows = judge_candidates(judge, masked, drop, method.settings.candidates, seed, folder, watch)
    chosen = best_candidate(rows)
    mask = draw_candidate(drop, seed, chosen)
    dropped = masked.dropped(mask)
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
        stripping_error=largest_difference((dropped, normalized), (network, raw)),
        epoch=len(record.rows),
        history=record.rows,
        trajectory=record.trajectory,
    )
