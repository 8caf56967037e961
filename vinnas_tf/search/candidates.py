"""Sub-networks, drawn from drop probabilities and judged on held-out images (PGNAS, algorithm 1, lines 7-16)."""

import json
import logging
from pathlib import Path

import numpy as np
import tensorflow as tf

from vinnas_tf.data.batches import Normalization, evaluation_batches
from vinnas_tf.data.image_set import ImageSet
from vinnas_tf.data.picture import at_once
from vinnas_tf.data.picture_index import Watch, unwatched
from vinnas_tf.errors import ArchitectureError, require
from vinnas_tf.network.evaluation import hits
from vinnas_tf.network.masks import MaskedNetwork
from vinnas_tf.run.files import Value, write_metrics, writing
from vinnas_tf.run.sealed import read_sealed, write_sealed

NAME = "candidates.csv"
_STATE = Path("checkpoints", "candidates.npz")  # Among the epochs: an epoch that is done again removes it.
_log = logging.getLogger("vinnas_tf")
# Candidates that are judged between two writes of the file, on a batch of images at a time.
_TOGETHER = 20
_BATCH = 500

Rows = list[dict[str, Value]]


def draw_candidate(drop: np.ndarray, seed: int, index: int) -> np.ndarray:
    """The mask of a candidate, bool [channels]: a function of the drop probabilities [channels], the seed and a number.

    One mask for all images, unlike in training.
    """
    return np.random.default_rng([seed, index]).random(drop.shape) >= drop


class Judge:
    """Tells how many images sub-networks classify rightly, with weights and statistics as they are.

    The mask is an input of one graph: no candidate is traced.

    Args:
        network: the network that the masks are of; its normalisations have the statistics to judge by.
        images: held-out images.
        normalization: statistics of the training images.
    """

    def __init__(self, network: MaskedNetwork, images: ImageSet, normalization: Normalization) -> None:
        size = at_once(_BATCH, images.image_shape)
        self.images = len(images)
        self._batches = evaluation_batches(images, batch_size=size, normalization=normalization)
        signature = [
            tf.TensorSpec((None, *images.image_shape), tf.float32),
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([network.channels], tf.float32),
        ]

        @tf.function(input_signature=signature, autograph=False)
        def right(pixels: tf.Tensor, labels: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
            return tf.reduce_sum(hits(labels, network(pixels, mask, training=False)))

        self.right = right

    def accuracies(self, masks: np.ndarray) -> np.ndarray:
        """The share of right answers of each of the masks [m, channels], [m]."""
        counts = np.zeros(len(masks))
        factors = [tf.constant(mask, tf.float32) for mask in masks]
        for pixels, labels in self._batches:
            counts += [float(self.right(pixels, labels, mask)) for mask in factors]
        return counts / self.images


def judge_candidates(
    judge: Judge,
    network: MaskedNetwork,
    drop: np.ndarray,
    candidates: int,
    seed: int,
    folder: Path | None = None,
    watch: Watch = unwatched,
) -> Rows:
    """Draws so many candidates and judges them; goes on with those of the same draws that were not judged before.

    What was judged is read from a sealed file; `candidates.csv` shows it to people and is not read back.

    Args:
        judge: tells their accuracy.
        network: the network.
        drop: the drop probability of each channel, [channels].
        candidates: how many.
        seed: of the draws.
        folder: where the files are written as they are judged; None: nowhere.
        watch: goes through them, and tells how far it is.

    Returns:
        A row for each: `index`, `seed`, `accuracy`, `channels` and `weights` that are kept, the latter of kernels, and
        whether image and logits are `connected`.
    """
    rows: Rows = _judged(folder / _STATE, drop, seed)[:candidates] if folder is not None else []
    weights = network.weights_of_channel
    left = range(len(rows), candidates)
    judged: dict[int, tuple[np.ndarray, float]] = {}
    what = f"Judges {candidates:,} candidates on {judge.images:,} held-out images"
    for number in watch(what, left) if left else ():
        if not judged:
            numbers = range(number, min(number + _TOGETHER, candidates))
            masks = np.stack([draw_candidate(drop, seed, one) for one in numbers])
            judged = dict(zip(numbers, zip(masks, judge.accuracies(masks), strict=True), strict=True))
        mask, accuracy = judged.pop(number)
        rows.append(
            {
                "index": number,
                "seed": seed,
                "accuracy": float(accuracy),
                "channels": int(mask.sum()),
                "weights": int(weights[mask].sum()),
                "connected": int(network.connects(mask)),
            }
        )
        if folder is not None and not judged:
            state = folder / _STATE
            with writing(state):
                state.parent.mkdir(exist_ok=True)
            write_sealed(state, {"rows": np.array(json.dumps(rows)), "drop": drop, "seed": np.array(seed)})
            write_metrics(folder / NAME, rows)
    return rows


def _judged(path: Path, drop: np.ndarray, seed: int) -> Rows:
    """The rows of a sealed file that are of these draws; none where it is damaged, which is told, or there is no file.

    A search that took over another's epochs finds those that the other judged, whose rates may be others.
    """
    if not path.exists():
        return []
    content = read_sealed(path)
    if content is None:
        _log.warning("%s is damaged: judges all candidates again.", path)
        return []
    same = np.array_equal(content.get("drop", ()), drop) and content.get("seed") == seed
    return json.loads(str(content["rows"])) if same else []


def best_candidate(rows: Rows) -> int:
    """The number of the candidate with the highest accuracy; of equals the one with fewest weights, then the first.

    Raises:
        ArchitectureError: in none of them anything leads from the images to the logits.
    """
    connected = [row for row in rows if row["connected"]]
    require(
        bool(connected),
        f"nothing leads from image to logits in any of the {len(rows):,} candidates: search again with a smaller "
        "prior_precision.",
        ArchitectureError,
    )

    def rank(row: dict[str, Value]) -> tuple[float, ...]:
        return -float(row["accuracy"] or 0), float(row["weights"] or 0), float(row["index"] or 0)

    return int(min(connected, key=rank)["index"] or 0)
