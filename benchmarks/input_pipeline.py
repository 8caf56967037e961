"""Images a second that the input pipeline delivers, beside those a search step takes.

    python -m benchmarks.input_pipeline --iteration_seconds=1.7 --batch=16

The pipeline runs with full augmentation. An iteration takes two batches, one of each
half. Without --iteration_seconds it is measured here, after the pipeline. Each has all
cores while it is measured; in a search they share them.
"""

import contextlib
import statistics
import time

import numpy as np

from benchmarks.command import add_step_options, make_parser, require_positive, step_config
from benchmarks.designs import CLASSES, IMAGE_CHANNELS, Config, Worker
from vinnas_tf.config import AUGMENTATIONS


def pipeline_images_per_second(batch_size: int, image_size: int, steps: int, epochs: int) -> list[float]:
    """Speed of `training_batches` with all augmentations in each epoch after the first, on uint8 images in memory."""
    from vinnas_tf.data.batches import Normalization, training_batches
    from vinnas_tf.data.image_set import ImageSet
    from vinnas_tf.kernels.device import prepare_cpu

    prepare_cpu()
    generator = np.random.default_rng(0)
    count = steps * batch_size
    pixels = generator.integers(256, size=(count, image_size, image_size, IMAGE_CHANNELS), dtype=np.uint8)
    images = ImageSet(pixels, generator.integers(CLASSES, size=count, dtype=np.int32))
    batches = iter(
        training_batches(
            images,
            batch_size=batch_size,
            normalization=Normalization.of(images),
            augment=AUGMENTATIONS,
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
        speeds.append(count / (time.perf_counter() - start))
    return speeds[1:]


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
    add("--steps", type=int, default=100, help="batches an epoch of the pipeline (%(default)s)")
    add("--epochs", type=int, default=5, help="epochs of the pipeline (%(default)s)")
    arguments = parser.parse_args(argv)
    require_positive(parser, arguments, "batch", "image_size", "steps", "epochs")
    if arguments.iteration_seconds is not None and arguments.iteration_seconds <= 0:
        parser.error(f"--iteration_seconds must be positive, got {arguments.iteration_seconds}.")
    config = step_config(parser, arguments, arguments.cells, arguments.batch)
    speeds = pipeline_images_per_second(arguments.batch, arguments.image_size, arguments.steps, arguments.epochs)
    seconds = arguments.iteration_seconds or iteration_seconds(config, arguments.image_size)
    delivered, taken = statistics.median(speeds), 2 * arguments.batch / seconds
    print(
        f"Pipeline ({', '.join(AUGMENTATIONS)}): {delivered:.0f} images/s "
        f"({min(speeds):.0f}–{max(speeds):.0f} over {len(speeds)} epochs)\n"
        f"Search: {taken:.1f} images/s ({seconds:.3g} s an iteration, two batches of {arguments.batch})\n"
        f"Ratio: {delivered / taken:.1f}"
    )


if __name__ == "__main__":
    main()
