"""Seconds, memory and first-step seconds of a step with masks of channels, beside the same network's without.

    python -m benchmarks.mask_step_time --backbone_width=16 --output=mask_step_time.md

A step with masks is one of --method=pgnas: images under masks of their own, weights and
probabilities moved together. One without is an ordinary training step of the network, with
the same optimizer. Each design runs in a process of its own, and they take turns step by
step, on synthetic images, as in benchmarks.step_time. The machine should do nothing else
meanwhile.
"""

import os
import platform
import statistics
import sys
from importlib.metadata import version
from pathlib import Path

from benchmarks.command import add_step_options, integers_option, make_parser, notes, require_positive
from benchmarks.designs import CHANNEL_DESIGNS, ChannelStep
from benchmarks.step_time import measure
from vinnas_tf.errors import UserError
from vinnas_tf.flags.define import spelt_as_flags
from vinnas_tf.network.backbones import BackboneSettings
from vinnas_tf.run.files import write_atomically
from vinnas_tf.run.tables import markdown_table

HEADER = ("design", "s / step (min–max)", "× unmasked", "first, s", "GiB")


def report(step: ChannelStep, image_size: int, repeats: int) -> str:
    """Measures both designs; a table and what must be known to read it, in Markdown."""
    load = os.getloadavg()[0]
    results, events = measure(list(CHANNEL_DESIGNS), step, image_size, repeats)
    rows = []
    for design, result in results.items():
        peer = results.get("unmasked")
        ratios = [ours / theirs for ours, theirs in zip(result.seconds, peer.seconds, strict=True)] if peer else []
        rows.append(
            [
                design,
                f"{statistics.median(result.seconds):.3g} ({min(result.seconds):.3g}–{max(result.seconds):.3g})",
                f"{statistics.median(ratios):.2f}" if ratios else "–",
                f"{statistics.median(result.first):.1f}",
                f"{result.peak / 2**30:.2f}",
            ]
        )
    backbone = ", ".join(f"{name}={value}" for name, value in step.backbone.items())
    setting = (
        f"{backbone}, batches of {step.batch_size} images of {image_size} x {image_size}, float32, {repeats} steps "
        f"each. {os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, "
        f"tensorflow {version('tensorflow')}. Load average at the start: {load:.1f}."
    )
    legend = (
        "Seconds are medians; × unmasked is the median over turns of a design's seconds divided by those of the step "
        "without masks; first is the first step of a process, tracing included; GiB its peak memory."
    )
    return "\n".join([markdown_table(HEADER, rows), "", notes(setting, " ".join(events), legend)])


def main(argv: list[str] | None = None) -> None:
    """The command."""
    parser = make_parser("benchmarks.mask_step_time", __doc__)
    add = parser.add_argument
    add("--backbone", default="multi_branch_resnet", help="network, as for the search (%(default)s)")
    add("--backbone_width", type=int, default=16, help="of its first stage (%(default)s)")
    add("--backbone_blocks", type=integers_option, default="2,2,2", help="of each stage (%(default)s)")
    add_step_options(parser, "image_size")
    add("--batch", type=int, default=64, help="batch size (%(default)s)")
    add("--repeats", type=int, default=20, help="recorded steps of each design (%(default)s)")
    add("--output", type=Path, help="Markdown file for the table")
    arguments = parser.parse_args(argv)
    require_positive(parser, arguments, "repeats", "image_size")
    if arguments.batch < 2:
        parser.error(f"--batch must be at least 2 for batch statistics, got {arguments.batch}.")
    names = ("backbone", "backbone_width", "backbone_blocks")
    settings = {name: getattr(arguments, name) for name in names}
    settings["backbone_blocks"] = tuple(settings["backbone_blocks"])
    try:
        BackboneSettings(**settings)  # What is wrong is told here, and not by a process of a design.
    except UserError as error:
        parser.error(spelt_as_flags(str(error)))
    step = ChannelStep(arguments.batch, settings)
    text = report(step, arguments.image_size, arguments.repeats)
    print(text)
    if arguments.output:
        try:
            write_atomically(arguments.output, text + "\n")
        except UserError as error:
            parser.error(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
