"""What a person sees of an export, in 80 columns."""

import textwrap
from typing import Any

LEGEND = """\
bytes, gzip: of the file or folder. agree: share of test images that get the
same class as from the stripped Keras network. max dp: largest difference of a
probability. 1t, 2t: median ms for one image with 1 and 2 threads. The baselines
at the end are not kept: SavedModel with every weight stored dense, and the
network before pruning as SavedModel and as float32 TFLite."""
TITLES, WIDTHS = ("bytes", "gzip", "accuracy", "agree", "max dp", "1t", "2t"), (11, 11, 9, 8, 8, 6, 6)
HEADER = f"{'file':<21}" + "".join(f"{title:>{width}}" for title, width in zip(TITLES, WIDTHS, strict=True))


def row(name: str, figures: dict[str, Any]) -> str:
    """One line of the table."""
    texts = zip(cells(figures), WIDTHS, strict=True)
    return f"{name.removesuffix('.tflite'):<21}" + "".join(f"{text:>{width}}" for text, width in texts)


def cells(figures: dict[str, Any]) -> list[str]:
    """The figures of a file in the order of TITLES, as text; one that was not measured is a dash."""
    forms = {"bytes": ",", "gzip_bytes": ",", "accuracy": ".2%", "agreement": ".2%", "largest_difference": ".0e"}
    texts = [format(figures[key], form) if key in figures else "-" for key, form in forms.items()]
    latencies = [figures.get("latency", {}).get(threads, {}).get("median_ms") for threads in ("1", "2")]
    return texts + ["-" if value is None else _milliseconds(value) for value in latencies]


def _milliseconds(value: float) -> str:
    """At most five characters up to ten seconds."""
    digits = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f}"


def describe(manifest: dict[str, Any]) -> str:
    """The table of an export: its files, the baselines, and what there is to say of a file."""
    files = {name: entry["figures"] for name, entry in manifest["files"].items()}
    lines = [LEGEND, HEADER]
    lines += [row(name, figures) for name, figures in (files | manifest["baselines"]).items()]
    lines += [line for name, figures in files.items() for line in remarks(name, figures)]
    return "\n".join(lines)


def remarks(name: str, figures: dict[str, Any]) -> list[str]:
    """Which pixels a file does not tell apart, and which bars it missed, with what to try; lines of 80 columns."""
    texts = []
    _, largest = figures.get("pixel_range", (0, 255))
    if largest < 255:
        texts.append(
            f"NOTE {name}: pixels above {largest:g} count as {largest:g}, the brightest of the training images that it "
            "was calibrated with. For brighter images use another file."
        )
    if figures["failures"]:
        advice = f": {figures['advice']}" if "advice" in figures else ""
        texts.append(f"FAILED {name}: {'; '.join(figures['failures'])}{advice}.")
    return [line for text in texts for line in textwrap.wrap(text, 80, subsequent_indent="  ")]


def failed(manifest: dict[str, Any]) -> list[str]:
    """Names of the files that missed their bar."""
    return [name for name, entry in manifest["files"].items() if entry["figures"]["failures"]]
