"""What a person reads of a compression, in 80 columns."""

import textwrap
from collections.abc import Sequence

from vinnas_tf.compress.point import Point
from vinnas_tf.compress.units import Units
from vinnas_tf.console import Table

# Printed once, above the tables of all points.
LEGEND = """\
CE: cross-entropy. penalty: the group lasso, in nats an image. acc: running
accuracy in training; held out: that on held-out training images. groups: those
that are not pruned. kept: weights of kernels in them, and their share."""
TABLE = Table(
    "",
    (
        ("CE", "cross_entropy", "{:.3g}".format, 9),
        ("penalty", "penalty", "{:.3g}".format, 9),
        ("acc", "accuracy", "{:.2%}".format, 9),
        ("held out", "held_out_accuracy", "{:.2%}".format, 10),
        ("groups", "groups_kept", "{:,}".format, 9),
        ("kept", "weights_kept", "{:,}".format, 11),
        ("", "share_kept", "{:.0%}".format, 7),
    ),
)


def point_line(point: Point, dense: Point) -> str:
    """A point of the curve in a line, beside the network that compression starts from."""
    name = f"penalty {point.penalty:g}" if point.penalty else "as it came"
    if not point.connected:
        return f"{name}: the network is cut, and its answers do not depend on the image."
    times = f" ({dense.parameters / point.parameters:.1f} times fewer)" if point.penalty else ""
    text = (
        f"{name}: {point.accuracy:.2%} of the held-out images, {point.parameters:,} parameters{times}, "
        f"{point.bytes:,} bytes."
    )
    return textwrap.fill(text, 80)


def units_table(units: Sequence[Units]) -> str:
    """The channels that are left of each layer, a line for each."""
    lines = [f"{'channels left of':<34}{'inputs':>22}{'outputs':>22}"]
    for of in units:
        name = of.layer if len(of.layer) < 34 else f"{of.layer[:30]}..."
        inputs, outputs = f"{of.inputs_left:,} of {of.inputs:,}", f"{of.outputs_left:,} of {of.outputs:,}"
        lines.append(f"{name:<34}{inputs:>22}{outputs:>22}")
    return "\n".join(lines)
