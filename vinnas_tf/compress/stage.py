"""Compression as a library: from a network and images to a curve, and the point of it that is taken."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from vinnas_tf.compress.budget import Chosen, choose
from vinnas_tf.compress.point import Compressed, Point, assess, compress_at, phase, read_compressed
from vinnas_tf.compress.report import point_line
from vinnas_tf.compress.source import Given
from vinnas_tf.config import CompressConfig
from vinnas_tf.run.files import write_metrics
from vinnas_tf.train.callbacks import Rows
from vinnas_tf.train.epochs import run_epochs
from vinnas_tf.train.progress import LOGGED, Progress
from vinnas_tf.train.stage import make_model

CURVE = "curve.csv"
POINTS = "points"
_FIGURES = (
    *("cross_entropy", "accuracy", "penalty", "held_out_loss", "held_out_accuracy"),
    *("groups_kept", "weights_kept", "share_kept", "seconds"),
)


@dataclass(frozen=True, eq=False)
class Compression:
    """A compressed network, and the curve that it was chosen from.

    Attributes:
        dense: the network that compression starts from.
        points: the curve, in the order of the penalties.
        dense_history: figures of the epochs in which it was trained; none of a network that came trained.
        chosen: the point that is taken, and why.
        compressed: its network.
    """

    dense: Compressed
    points: Sequence[Point]
    dense_history: Rows
    chosen: Chosen
    compressed: Compressed

    @property
    def history(self) -> Rows:
        """Figures of the epochs of compression, and then of fine-tuning, as metrics.csv has them."""
        phases = enumerate((self.compressed.history, self.compressed.fine_tuning_history))
        return [
            {"fine_tuning": number, "epoch": row["epoch"], **{name: row.get(name) for name in _FIGURES}}
            for number, rows in phases
            for row in rows
        ]


def compress(
    given: Given,
    augment: tuple[str, ...],
    config: CompressConfig,
    folder: Path,
    progress: Progress = LOGGED,
) -> Compression:
    """Compresses a network at each penalty of the ladder, and chooses; goes on where it was interrupted.

    Args:
        given: the network and the images.
        augment: how images to learn from are augmented, any of config.AUGMENTATIONS.
        config: all settings.
        folder: where the state of all points is kept, and curve.csv.
        progress: where words go.

    Raises:
        DataError: the images do not fill a batch.
        DivergenceError: a loss, or its curvature, stopped being finite.
        SettingError: no point of the curve is within the budgets.
    """
    history = [] if given.trained else _train(given, augment, config, folder / "dense", progress)
    images, start = given.images, given.network
    dense = assess(start, start, images, 0.0, [], [])
    progress.tell(point_line(dense.point, dense.point))
    points: list[Point] = []
    for penalty in sorted(config.penalties):
        of_point = folder / POINTS / f"{penalty:g}"
        found = read_compressed(of_point)
        if found is None:
            progress.tell(f"\nPenalty {penalty:g}, {len(points) + 1} of {len(config.penalties)}.")
            found = compress_at(penalty, start, images, augment, config, of_point, progress)
        points.append(found.point)
        write_metrics(folder / CURVE, [asdict(point) for point in (dense.point, *points)])
        progress.tell(point_line(found.point, dense.point))
    chosen = choose(points, dense.point.accuracy, config)
    compressed = read_compressed(folder / POINTS / f"{chosen.point.penalty:g}")
    assert compressed is not None
    return Compression(dense, points, history, chosen, compressed)


def _train(given: Given, augment: tuple[str, ...], config: CompressConfig, folder: Path, progress: Progress) -> Rows:
    """Trains the network in place, or goes on doing so."""
    training = phase(config, config.dense_epochs)
    progress.tell(f"Trains the network that is compressed, {config.network}.")
    return run_epochs(
        make_model(given.network, training, len(given.images.learnt_from)),
        given.images,
        augment,
        training,
        epochs=training.epochs,
        seed=config.seed,
        folder=folder,
        progress=progress,
    )
