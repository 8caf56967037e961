"""What a person reads at the end of a run, in 80 columns."""

import textwrap
from collections.abc import Iterable
from pathlib import Path

from vinnas_tf.console import duration
from vinnas_tf.export import manifest
from vinnas_tf.pipeline.bounds import Choice
from vinnas_tf.pipeline.run import Done


def summary(done: Iterable[Done], path: Path, choice: Choice | None, seconds: float) -> str:
    """One line a stage, the files with their bytes, and which bound held.

    Args:
        done: what came of each stage.
        path: the run folder.
        choice: the threshold that bounds asked for, if there were any.
        seconds: that all of it took, of this process.
    """
    lines = []
    for one in done:
        took = "before" if one.seconds is None else duration(one.seconds)
        lines.append(f"{one.stage.name:<8}{took:>8}  {one.stage.result(path)}")
    lines.append(f"{'in all':<8}{duration(seconds):>8}")
    if choice is not None:
        lines.append(textwrap.fill(f"threshold {choice.threshold:g}: {choice.reason}", 80))
    files = manifest.read(path / "export" / manifest.NAME)["files"]
    for name, entry in files.items():
        failures = entry["figures"]["failures"]
        size = f"{entry['figures']['bytes']:,} bytes"
        lines.append(f"  {path / 'export' / name}: {size}{', FAILED' if failures else ''}")
    return "\n".join(lines)
