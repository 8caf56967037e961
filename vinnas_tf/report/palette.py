"""The colours of the page: those of all pictures, brought to a contrast that is readable in light and in dark."""

from vinnas_tf.plots.style import BLUE, FAMILIES, INK, OTHER, PALE, RED, UNKNOWN, readable

# Grounds and inks of both schemes.
_LIGHT = {"paper": "#ffffff", "panel": "#f5f7f9", "ink": INK, "muted": "#55606c", "line": "#d3dae1", "faint": PALE}
_DARK = {
    "paper": "#14181d", "panel": "#1d232a", "ink": "#e7ebef", "muted": "#a5b0bc", "line": "#39434e", "faint": "#4a5663",
}  # fmt: skip
# Series of charts; Okabe and Ito's, which readers with any colour vision tell apart.
_SERIES = {
    "first": BLUE, "accent": RED, "second": "#D55E00", "third": "#009E73", "fourth": "#CC79A7", "fifth": "#E69F00",
    "sixth": "#56B4E9",
}  # fmt: skip
# WCAG 2.2: least contrast of a shape, and of text.
_SHAPE, _TEXT = 3.0, 4.5


def style_sheet() -> str:
    """Variables of CSS for both schemes, of which print has the light one, and the colour of each family."""
    light, dark = (_variables(scheme) for scheme in (_LIGHT, _DARK))
    of_families = "".join(f".{one} {{ --family: var(--{one}); }}\n" for one in families().values())
    return (
        f":root {{\n{light}}}\n@media screen and (prefers-color-scheme: dark) {{ :root {{\n{dark}}} }}\n{of_families}"
    )


def family_class(family: str) -> str:
    """The class of CSS that a family of primitives has; none for the empty name."""
    return f"family-{family.replace(' ', '-')}" if family else ""


def families() -> dict[str, str]:
    """The class of CSS of each family, by its name."""
    return {family: family_class(family) for family in [*FAMILIES, OTHER]}


def _variables(scheme: dict[str, str]) -> str:
    # The panel is what most text and shapes stand on, and the farther of both grounds from white and black.
    ground = scheme["panel"]
    colours = scheme | {name: readable(colour, ground, _SHAPE) for name, colour in _SERIES.items()}
    colours["warning"] = readable(RED, ground, _TEXT)
    colours["link"] = readable(BLUE, ground, _TEXT)
    colours |= {
        family_class(family): readable(colour, ground, _SHAPE) for family, (colour, _) in FAMILIES.items()
    } | {family_class(OTHER): readable(UNKNOWN, ground, _SHAPE)}  # fmt: skip
    return "".join(f"  --{name}: {colour};\n" for name, colour in colours.items())
