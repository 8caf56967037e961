"""Images a second that the input pipeline delivers, beside those a search step takes.

    python -m benchmarks.input_pipeline --iteration_seconds=1.7 --batch=16
    python -m benchmarks.input_pipeline --streamed=5000 --image_size=224 --batch=64 --augment=resized_crop,jitter,flip

The pipeline runs with full augmentation. An iteration takes two batches, one of each
half. Without --iteration_seconds it is measured here, after the pipeline. Each has all
cores while it is measured; in a search they share them. With --streamed the pipeline
reads so many generated JPEGs from their files first, and is then run in memory beside;
no iteration is measured.
"""

import argparse
import contextlib
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.command import add_step_options, make_parser, require_positive, step_config
from benchmarks.designs import CLASSES, IMAGE_CHANNELS, Config, Worker
from benchmarks.photographs import write_photographs
from vinnas_tf.config import AUGMENTATIONS, MIDDLE, DataConfig

if TYPE_CHECKING:  # The options are read before TensorFlow is loaded.
    from vinnas_tf.data.image_set import ImageSet

# Of small images. Those of photographs, resized_crop and jitter, are asked for where they are meant.
AUGMENT = "affine,elastic,crop,flip,erase"


def random_images(count: int, image_size: int) -> "ImageSet":
    """Random pixels in memory."""
    from vinnas_tf.data.image_set import ImageSet

    generator = np.random.default_rng(0)
    pixels = generator.integers(256, size=(count, image_size, image_size, IMAGE_CHANNELS), dtype=np.uint8)
    return ImageSet(pixels, generator.integers(CLASSES, size=count, dtype=np.int32))


def streamed_images(folder: Path, count: int, image_size: int) -> "ImageSet":
    """So many JPEGs, written into `folder` and streamed."""
    from vinnas_tf.data.image_set import ImageSet
    from vinnas_tf.data.images import open_source
    from vinnas_tf.data.streamed import Streamed

    write_photographs(folder, count, CLASSES, image_size)
    source = open_source(DataConfig(dataset=f"folder:{folder}", image_size=image_size, framing=MIDDLE))
    part = source.part("train")
    frames = Streamed(part, source.preparation, np.arange(count))
    return ImageSet(frames, part.labels, np.array(part.names), part.digests, source.preparation.margin)


def images_per_second(
    images: "ImageSet", batch_size: int, augment: tuple[str, ...], steps: int, epochs: int
) -> list[float]:
    """Speed of so many steps of `training_batches` in each epoch after the first."""
    from vinnas_tf.data.batches import Normalization, training_batches
    from vinnas_tf.kernels.device import prepare_machine

    prepare_machine()
    batches = iter(
        training_batches(
            images,
            batch_size=batch_size,
            normalization=Normalization.of(images),
            augment=augment,
            seed=0,
            first_epoch=0,
            epochs=epochs + 1,
        )
    )
    speeds = []
    for _ in range(epochs + 1):
        start = time.perf_counter()
        for _ in range(steps):
            next(batches)
        speeds.append(steps * batch_size / (time.perf_counter() - start))
    return speeds[1:]


def peak_memory() -> float:
    """The most memory that this process has had, in GiB."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def described(name: str, speeds: list[float]) -> str:
    """One line of what `images_per_second` found."""
    return (
        f"{name}: {statistics.median(speeds):.0f} images/s "
        f"({min(speeds):.0f}–{max(speeds):.0f} over {len(speeds)} epochs)"
    )


def iteration_seconds(config: Config, image_size: int, repeats: int = 3) -> float:
    """Median seconds of a search iteration, in a process of its own."""
    with contextlib.closing(Worker("vinnas_tf", config, image_size)) as worker:
        worker.iterate()
        worker.iterate()
        return statistics.median(worker.iterate() for _ in range(repeats))


def main(argv: list[str] | None = None) -> None:
    """The command."""
    parser = make_parser("benchmarks.input_pipeline", __doc__)
    add = parser.add_argument
    add("--iteration_seconds", type=float, help="seconds of a search iteration (default: measured)")
    add_step_options(parser, "cells", remark=", where the iteration is measured")
    add_step_options(parser, "states", "channels", remark=", likewise")
    add_step_options(parser, "batch", "image_size")
    add("--augment", default=AUGMENT, help="augmentations (%(default)s)")
    add("--steps", type=int, default=100, help="batches an epoch of the pipeline (%(default)s)")
    add("--epochs", type=int, default=5, help="epochs of the pipeline (%(default)s)")
    add("--streamed", type=int, default=0, help="generated JPEGs to stream; 0 measures in memory alone")
    arguments = parser.parse_args(argv)
    require_positive(parser, arguments, "batch", "image_size", "steps", "epochs")
    if arguments.iteration_seconds is not None and arguments.iteration_seconds <= 0:
        parser.error(f"--iteration_seconds must be positive, got {arguments.iteration_seconds}.")
    augment = tuple(filter(None, arguments.augment.split(",")))
    if unknown := sorted(set(augment) - set(AUGMENTATIONS)):
        parser.error(f"--augment knows {', '.join(AUGMENTATIONS)}, got {', '.join(unknown)}.")
    if arguments.streamed:
        _compare_with_streamed(parser, arguments, augment)
        return
    config = step_config(parser, arguments, arguments.cells, arguments.batch)
    images = random_images(arguments.steps * arguments.batch, arguments.image_size)
    speeds = images_per_second(images, arguments.batch, augment, arguments.steps, arguments.epochs)
    seconds = arguments.iteration_seconds or iteration_seconds(config, arguments.image_size)
    delivered, taken = statistics.median(speeds), 2 * arguments.batch / seconds
    print(
        f"{described(f'Pipeline ({arguments.augment})', speeds)}\n"
        f"Search: {taken:.1f} images/s ({seconds:.3g} s an iteration, two batches of {arguments.batch})\n"
        f"Ratio: {delivered / taken:.1f}"
    )


def _compare_with_streamed(
    parser: argparse.ArgumentParser, arguments: argparse.Namespace, augment: tuple[str, ...]
) -> None:
    """Prints the speed of streamed images, and that of as many in memory."""
    count, batch = arguments.streamed, arguments.batch
    if count < max(batch, 2 * CLASSES):
        parser.error(f"--streamed must be at least {max(batch, 2 * CLASSES)}, got {count}: a batch and two of a class.")
    steps = min(arguments.steps, count // batch)
    side = arguments.image_size
    print(f"{count:,} images of {side} x {side}, batches of {batch}, {arguments.augment}.")
    with tempfile.TemporaryDirectory() as folder:
        images = streamed_images(Path(folder), count, arguments.image_size)
        speeds = images_per_second(images, batch, augment, steps, arguments.epochs)
    print(f"{described('Streamed', speeds)}, {peak_memory():.2f} GiB at most")
    images = random_images(count, arguments.image_size)
    speeds = images_per_second(images, batch, augment, steps, arguments.epochs)
    print(f"{described('In memory', speeds)}, {peak_memory():.2f} GiB at most")


if __name__ == "__main__":
    main()
