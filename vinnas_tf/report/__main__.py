"""Writes one page that shows what a run folder holds.

    python -m vinnas_tf.report --run_dir=runs/m
    python -m vinnas_tf.report --run_dir=runs/m --watch
    python -m vinnas_tf.report --run_dir=runs/a,runs/b

The page is report.html in the run folder: one file, which any browser opens from the
disk, without a network. It shows what was found, how it came about and what it is
worth, and says of what has not run yet what would run it. With --watch it is written
again after each epoch of what is going on. Of several runs, a comparison or a benchmark
it is one table and one plot, in the folder that holds them all.
"""

if __name__ == "__main__":
    import vinnas_tf.run.startup  # noqa: F401

# isort: split
import contextlib
import sys
import time
from pathlib import Path

from vinnas_tf.config import ReportConfig
from vinnas_tf.flags import docstring, read_flags, run_cli
from vinnas_tf.kernels.device import prepare_machine
from vinnas_tf.report.folder import common_folder, run_folders
from vinnas_tf.report.watch import Writer, watch

NAME = "report.html"
_SECONDS_BETWEEN_LOOKS = 2.0


def main(argv: list[str]) -> None:
    """The command: reads flags, writes the page, and goes on doing so where it is asked to watch."""
    settings = read_flags(argv, ReportConfig, command="report", usage=docstring(sys.modules[__name__]))
    config = settings[ReportConfig]
    given = [Path(name) for name in config.run_dir]
    prepare_machine()
    for path in given:
        run_folders(path)  # Tells at once of one that is none.
    writer = Writer(given, common_folder(given) / NAME)
    if config.watch:
        print(
            f"Watches {', '.join(config.run_dir)}, and writes {writer.page} after each epoch; Ctrl-C ends it.",
            flush=True,
        )
        with contextlib.suppress(KeyboardInterrupt):  # The way to end it, which leaves nothing undone.
            watch(writer, lambda: time.sleep(_SECONDS_BETWEEN_LOOKS))
    else:
        writer.write()


if __name__ == "__main__":
    run_cli(main)
