"""The contrast of the page's colours, by the formula of WCAG 2.2."""

import re

import pytest

from vinnas_tf.report.palette import style_sheet


def luminance(colour):
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_shapes_can_be_told_from_both_grounds(scheme):
    light, dark = re.findall(r":root \{(.*?)\}", style_sheet(), re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})", light if scheme == "light" else dark))
    for ground in (colours["paper"], colours["panel"]):
        for name in ("ink", "muted", "warning", "link"):
            assert contrast(colours[name], ground) >= 4.5, name
        shapes = ["first", "accent", "second", "third", *(name for name in colours if name.startswith("family-"))]
        for name in shapes:
            assert contrast(colours[name], ground) >= 3.0, name
