"""Compression of LeNets on MNIST by evidence, beside pruning by magnitude and our own variational pruning.

    python -m benchmarks.lenets --seeds=3

For each network and seed: it is trained; compressed as python -m vinnas_tf.compress does;
pruned by TensorFlow Model Optimization's magnitude pruning, until each layer has as many
weights left as compression left of it; and trained anew with Gaussian weights, of which
those of log lambda >= 3 are pruned. All see the same images for equally many epochs, and
test images are read once. Figures are those of the stripped networks. Each network and
seed has its folder in --run_dir; the same command resumes, and adds networks or seeds.
Results go into results.csv as they come, the tables into results.md. Needs
pip install '.[benchmark]'.
"""

if __name__ == "__main__":
    import vinnas_tf.run.startup  # noqa: F401

# isort: split
import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks.command import make_parser, notes, path_option, require_positive
from benchmarks.lenet_rivals import prune_by_magnitude, prune_by_noise
from vinnas_tf.compare.statistics import format_p, hold_against_first
from vinnas_tf.compress.source import PACKAGED, of_package
from vinnas_tf.compress.stage import compress
from vinnas_tf.config import CompressConfig, DataConfig
from vinnas_tf.data.image_set import ImageSet
from vinnas_tf.data.images import load_test, load_train
from vinnas_tf.errors import UserError, require
from vinnas_tf.export.tflite import convert
from vinnas_tf.flags.define import spelt_as_flags
from vinnas_tf.kernels.device import prepare_machine
from vinnas_tf.network.evaluation import evaluate
from vinnas_tf.network.layer_kinds import CONVOLUTIONS, LINEAR, kernel_of
from vinnas_tf.network.pruning import count_parameters, total
from vinnas_tf.run.files import read_text, write_atomically, writing
from vinnas_tf.run.tables import csv_table, markdown_table
from vinnas_tf.train.images import batches_to_evaluate
from vinnas_tf.train.progress import PRINTED

DENSE, EVIDENCE, MAGNITUDE, VARIATIONAL = ROWS = ("dense", "evidence", "magnitude", "variational")


@dataclass(frozen=True)
class Figures:
    """The stripped network of one row.

    Attributes:
        network: name of the network.
        seed: of the training.
        row: how it was made smaller.
        accuracy: share of right answers to test images.
        units: channels of each convolution, and inputs that each linear layer reads, as 3-18-284-283.
        parameters: that it stores.
        nonzero: those that are not zero.
        bytes: of its float32 TFLite file, weights stored dense.
    """

    network: str
    seed: int
    row: str
    accuracy: float
    units: str
    parameters: int
    nonzero: int
    bytes: int


# What a row can be ahead in: its name, the figure, and whether less is better.
MEASURES: tuple[tuple[str, Callable[[Figures], float], bool], ...] = (
    ("accuracy", lambda one: one.accuracy, False),
    ("parameters stored", lambda one: one.parameters, True),
    ("parameters not 0", lambda one: one.nonzero, True),
    ("bytes", lambda one: one.bytes, True),
)


def measure(row: str, stripped: keras.Model, original: keras.Model, test: ImageSet, seed: int, name: str) -> Figures:
    """The figures of a stripped network, from raw pixels to logits."""
    counted = total(count_parameters(stripped))
    file = convert(stripped, "float32", np.zeros((1, *test.image_shape), np.uint8), sparse=False)
    accuracy = evaluate(stripped, batches_to_evaluate(test, None)).accuracy
    return Figures(
        name, seed, row, accuracy, units(original, stripped), counted.params_dense, counted.params_nonzero, len(file)
    )


def units(original: keras.Model, stripped: keras.Model) -> str:
    """What is left: of convolutions the channels that they make, of linear layers the inputs with a weight not 0."""
    left = {layer.name: layer for layer in stripped.layers}
    counts = []
    for layer in original.layers:
        if isinstance(layer, (*CONVOLUTIONS, *LINEAR)):
            kernel = kernel_of(left[layer.name])[0, 0] if layer.name in left else np.zeros((1, 0))
            read = int((kernel != 0).any(axis=1).sum())
            counts.append(kernel.shape[1] if isinstance(layer, CONVOLUTIONS) else read)
    return "-".join(map(str, counts))


def compare(config: CompressConfig, data: DataConfig, folder: Path) -> Iterable[Figures]:
    """The rows of one network and seed; those that are finished are read."""
    paths = {row: folder / f"{row}.json" for row in ROWS}
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    dataset = load_train(data, config.seed)
    _require_same(folder, {**dataclasses.asdict(config), **dataclasses.asdict(data), "images": dataset.fingerprint})
    if all(path.exists() for path in paths.values()):
        yield from (Figures(**json.loads(path.read_text(encoding="utf-8"))) for path in paths.values())
        return
    given, test = of_package(config, dataset), load_test(data)
    compression = compress(given, (), config, folder / EVIDENCE, PRINTED)
    left = count_parameters(compression.compressed.network)
    kept = {layer.name: left[layer.name].kernel_nonzero if layer.name in left else 0 for layer in given.network.layers}
    made: dict[str, Callable[[], keras.Model]] = {
        DENSE: lambda: compression.dense.network,
        EVIDENCE: lambda: compression.compressed.network,
        MAGNITUDE: lambda: prune_by_magnitude(given.network, kept, given.images, config, folder / MAGNITUDE),
        VARIATIONAL: lambda: prune_by_noise(given.network, given.images, dataset, config, folder / VARIATIONAL),
    }
    for row, make in made.items():
        if not paths[row].exists():
            PRINTED.tell(f"\n{config.network}, seed {config.seed}: {row}")
            figures = measure(row, make(), given.network, test, config.seed, config.network)
            write_atomically(paths[row], json.dumps(dataclasses.asdict(figures), indent=2) + "\n")
        yield Figures(**json.loads(paths[row].read_text(encoding="utf-8")))


def _require_same(folder: Path, settings: dict[str, Any]) -> None:
    """Raises SettingError where what lies in a folder was made with other settings, and notes them in a new one."""
    path, text = folder / "settings.json", json.dumps(settings, indent=2) + "\n"
    if not path.exists():
        write_atomically(path, text)
        return
    before, now = json.loads(read_text(path)), json.loads(text)  # JSON has no tuples.
    changed = [name for name, value in now.items() if before.get(name) != value]
    require(not changed, f"{folder} was made with other {', '.join(changed)}: give the same, or another run_dir.")


def summary(found: Sequence[Figures]) -> str:
    """A line a row of each network, in Markdown."""
    header = (
        *("network", "row", "n", "test accuracy, %", "below dense", "units", "stored, times fewer"),
        *("not 0, times fewer", "bytes", "times fewer", "difference", "p"),
    )
    lines = []
    for network in dict.fromkeys(one.network for one in found):
        own = {row: {one.seed: one for one in found if (one.network, one.row) == (network, row)} for row in ROWS}
        dense = own[DENSE]
        accuracies = {row: {seed: 100 * one.accuracy for seed, one in own[row].items()} for row in (EVIDENCE, *ROWS)}
        for row, statistics in hold_against_first(accuracies).items():
            of_row = own[row]

            def fewer(name: str, of_row: dict[int, Figures] = of_row, dense: dict[int, Figures] = dense) -> str:
                return f"{np.mean([getattr(dense[seed], name) / getattr(of_row[seed], name) for seed in of_row]):.1f}"

            below = np.mean([100 * (dense[seed].accuracy - one.accuracy) for seed, one in of_row.items()])
            spread = "-" if statistics.deviation is None else f"{statistics.deviation:.2f}"
            layers = np.array([[int(count) for count in one.units.split("-")] for one in of_row.values()])
            lines.append(
                [
                    network,
                    row,
                    str(statistics.n),
                    f"{statistics.mean:.2f} ± {spread}",
                    f"{below:.2f}",
                    "-".join(f"{count:.0f}" for count in layers.mean(axis=0)),
                    fewer("parameters"),
                    fewer("nonzero"),
                    f"{np.mean([one.bytes for one in of_row.values()]):,.0f}",
                    fewer("bytes"),
                    "-" if statistics.difference is None else f"{statistics.difference:+.2f}",
                    format_p(statistics.p),
                ]
            )
    return markdown_table(header, lines)


def ahead(found: Sequence[Figures]) -> str:
    """Which row but the dense one is ahead in what, in Markdown: that of the best mean, and in how many seeds it is."""
    lines = []
    for network in dict.fromkeys(one.network for one in found):
        rivals = [one for one in found if one.network == network and one.row != DENSE]
        seeds = sorted({one.seed for one in rivals})
        for name, figure, less in MEASURES:
            sign = -1 if less else 1
            means = {row: np.mean([sign * figure(one) for one in rivals if one.row == row]) for row in ROWS[1:]}
            best = [row for row in means if means[row] == max(means.values())]
            firsts = [
                max((one for one in rivals if one.seed == seed), key=lambda one: sign * figure(one)) for seed in seeds
            ]
            wins = sum(one.row == best[0] for one in firsts)
            lines.append([network, name, " and ".join(best), f"{wins} of {len(seeds)}"])
    return markdown_table(("network", "in", "ahead", "seeds"), lines)


def report(found: Sequence[Figures], config: CompressConfig) -> str:
    """Both tables, what must be known to read them, and a line a row, seed and network."""
    epochs = config.dense_epochs + config.epochs + config.fine_tuning_epochs
    remarks = notes(
        f"Each row has had {epochs} epochs: {config.dense_epochs} of training, {config.epochs} in which it gets "
        f"smaller, {config.fine_tuning_epochs} of fine-tuning; the variational one learns and gets smaller at once. "
        f"The dense row has had the first {config.dense_epochs}.",
        f"evidence: the smallest network of the ladder of penalties {', '.join(f'{p:g}' for p in config.penalties)} "
        "that loses no more than 1.0 point on held-out images. magnitude: TensorFlow Model Optimization, as many "
        "weights of each layer as evidence left. variational: Gaussian weights, log lambda >= 3.",
        "±: sample standard deviation over seeds. Below dense: points of test accuracy. Units: channels that a "
        "convolution makes, and inputs that a linear layer reads, mean over seeds. Bytes: float32 TFLite file of the "
        "stripped network, weights stored dense.",
        "Difference: mean over equal seeds of a row's accuracy less evidence's; p: two-sided paired t-test that it is "
        "0, not corrected for the number of rows.",
    )
    return "\n\n".join([summary(found), ahead(found), remarks, "```\n" + to_csv(found) + "```"]) + "\n"


def to_csv(found: Sequence[Figures]) -> str:
    """One line a row, seed and network, floats in full precision."""
    return csv_table((field.name for field in dataclasses.fields(Figures)), map(dataclasses.astuple, found))


def run(arguments: argparse.Namespace) -> str:
    """Does what is left to do; returns the report."""
    data = DataConfig(dataset=arguments.dataset, data_dir=arguments.data_dir, data_fraction=arguments.data_fraction)
    shared = {name: getattr(arguments, name) for name in ("dense_epochs", "epochs", "fine_tuning_epochs", "penalties")}
    found: list[Figures] = []
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        for network in arguments.networks:
            config = CompressConfig(network=network, seed=seed, **shared)
            for one in compare(config, data, arguments.run_dir / f"{network}-seed{seed}"):
                found.append(one)
                print(
                    f"{network:<15}{seed:>3}  {one.row:<12}{one.accuracy:>8.2%}{one.parameters:>9,} stored"
                    f"{one.nonzero:>9,} not 0{one.bytes:>11,} bytes  {one.units}",
                    flush=True,
                )
                write_atomically(arguments.run_dir / "results.csv", to_csv(found))
    text = report(sorted(found, key=lambda one: arguments.networks.index(one.network)), config)
    write_atomically(arguments.run_dir / "results.md", text)
    return text


def main(argv: list[str] | None = None) -> None:
    """The command."""
    parser = make_parser("benchmarks.lenets", __doc__)
    add, default = parser.add_argument, CompressConfig()
    add(
        "--networks",
        type=lambda text: text.split(","),
        default=list(PACKAGED),
        help="separated by commas (%(default)s)",
    )
    add("--seeds", type=int, default=3, help="number of seeds (%(default)s)")
    add("--first_seed", type=int, default=0, help="(%(default)s)")
    add("--dataset", default="mnist", help="(%(default)s)")
    add("--data_dir", default="", help="where prepared sets lie; empty: TFDS_DATA_DIR")
    add("--data_fraction", type=float, default=1.0, help="share of the training images (%(default)s)")
    for name, text in (
        ("dense_epochs", "of training"),
        ("epochs", "of compression"),
        ("fine_tuning_epochs", "after it"),
    ):
        add(f"--{name}", type=int, default=getattr(default, name), help=f"{text} (%(default)s)")
    add(
        "--penalties",
        type=lambda text: tuple(float(one) for one in text.split(",")),
        default=default.penalties,
        help="ladder of compression, separated by commas (%(default)s)",
    )
    add("--run_dir", type=path_option, default=Path("runs/lenets"), help="where all goes (%(default)s)")
    arguments = parser.parse_args(argv)
    require_positive(parser, arguments, "seeds", "epochs", "dense_epochs", "fine_tuning_epochs")
    unknown = [name for name in arguments.networks if name not in PACKAGED]
    if unknown:
        parser.error(f"--networks knows {', '.join(PACKAGED)}; got {', '.join(unknown)}.")
    prepare_machine()
    try:
        print(run(arguments))
    except UserError as error:
        parser.exit(2, f"error: {spelt_as_flags(str(error))}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
