"""The palette of primitives, and the numbers and files of all pictures.

Primitives have Okabe and Ito's colours, which readers with any colour vision tell apart; a name stands beside every
colour. Curves of accuracy and the like have colours beside what draws them.
"""

import io
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

DPI = 150
_MOST_DOTS = 12_000  # Of a side.
INK = "#222222"
# Of what is left or kept, of what is gone, and of what is marked among others.
BLUE, PALE, RED = "#2a6f97", "#d9dfe4", "#c1440e"
TITLE: dict[str, Any] = {"size": 13, "weight": "bold", "color": INK, "va": "center"}
# Family of primitives: its colour, and its members.
FAMILIES = {
    "separable convolution": (
        "#0072B2",
        ("sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7", "double_sep_conv_3x3", "double_sep_conv_5x5"),
    ),
    "dilated convolution": ("#CC79A7", ("dil_conv_3x3", "dil_conv_5x5")),
    "full convolution": ("#009E73", ("conv_7x1_1x7", "conv_1x1", "conv_3x3")),
    "pooling": ("#E69F00", ("max_pool_3x3", "avg_pool_3x3")),
    "skip": ("#333333", ("skip",)),
    "zero": ("#999999", ("zero",)),
}
UNKNOWN = "#777777"  # Of a primitive that is in none of them.
OTHER = "other"  # The family of those.
COLOURS = {name: colour for colour, names in FAMILIES.values() for name in names}


def colour_of(primitive: str) -> str:
    """A primitive's colour."""
    return COLOURS.get(primitive, UNKNOWN)


def cell_title(group: str) -> str:
    """What stands above a cell group's part of a picture: "Normal cell", or "Block 0 cell"."""
    return f"{group.capitalize()} cell".replace("_", " ")


def resolution(width: float, height: float) -> float:
    """Dots an inch of a picture of this size in inches: fewer where it would have too many for a file."""
    return min(DPI, _MOST_DOTS / max(width, height))


def family_of(primitive: str) -> str:
    """The name of a primitive's family."""
    return next((family for family, (_, names) in FAMILIES.items() if primitive in names), OTHER)


def contrast(colour: str, ground: str) -> float:
    """The contrast of two colours, 1 to 21 (WCAG 2.2, "contrast ratio")."""
    lighter, darker = sorted((_luminance(colour), _luminance(ground)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def readable(colour: str, ground: str, least: float) -> str:
    """The colour, with as much white or black mixed in as gives it that contrast to its ground."""
    end = 1.0 if _luminance(ground) < 0.18 else 0.0  # At which both black and white are equally far.
    red, green, blue = to_rgb(colour)

    def mixed(share: float) -> str:
        return to_hex((red + share * (end - red), green + share * (end - green), blue + share * (end - blue)))

    shades = map(mixed, np.linspace(0, 1, 51))
    return next(shade for shade in shades if contrast(shade, ground) >= least)


def _luminance(colour: str) -> float:
    """The relative luminance of a colour, 0 to 1 (WCAG 2.2)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
    return float(np.dot((0.2126, 0.7152, 0.0722), linear))


def short_number(value: float, digits: int = 3) -> str:
    """The value with few significant digits (thousands in full) and a real minus sign."""
    text = f"{value:,.0f}" if 100 <= abs(value) < 1e6 else f"{value:.{digits}g}"
    return with_minus(text)


def with_minus(text: str) -> str:
    """A number, or a name with one, with a real minus sign, which not every terminal can show."""
    return text.replace("-", "−")


def png(figure: Figure) -> bytes:
    """The figure as a PNG file's content."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def svg(figure: Figure) -> bytes:
    """The same bytes for the same figure: no date, no random ids."""
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "vinnas_tf", "svg.fonttype": "none"}):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    return buffer.getvalue()
