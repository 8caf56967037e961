"""Kills each command at each of its writes, and sees that the same command ends with the same results.

    python -m benchmarks.crash_drill --folder=runs/crash_drill

Prints a table; the exit code is 1 where anything went wrong. What was tried is kept in the folder: the same command
goes on where it was interrupted.
"""

if __name__ == "__main__":
    import vinnas_tf.run.startup  # noqa: F401

# isort: split
import argparse
import sys
from pathlib import Path

from benchmarks.command import make_parser, notes, path_option, require_positive
from benchmarks.crash_drill.commands import COMMANDS
from benchmarks.crash_drill.drill import Counts, Drill
from vinnas_tf.run.tables import markdown_table

_HEADER = ("command", "operations", "states", "tried", "killed", "run to the end", "on as another", "faults")


def parse(argv: list[str]) -> argparse.Namespace:
    parser = make_parser("benchmarks.crash_drill", __doc__)
    parser.add_argument("--folder", type=path_option, default=Path("runs/crash_drill"), help="keeps what was tried")
    parser.add_argument("--commands", default=",".join(COMMANDS), help="which, of %(default)s")
    parser.add_argument("--every", type=int, default=1, help="tries every so many states (%(default)s: all)")
    arguments = parser.parse_args(argv)
    require_positive(parser, arguments, "every")
    arguments.commands = arguments.commands.split(",")
    if unknown := set(arguments.commands) - COMMANDS.keys():
        parser.error(f"--commands knows {', '.join(COMMANDS)}; got {', '.join(sorted(unknown))}.")
    return arguments


def table(counts: dict[str, Counts]) -> str:
    rows = [
        (name, *map(str, (of.operations, of.states, of.tried, of.killed, of.to_the_end, of.alike, len(of.faults))))
        for name, of in counts.items()
    ]
    text = notes(
        "operations: of Python's in the run folder; a file opened to write, its first half written, a file or folder "
        "synced, renamed, removed or made. states: different ones, byte for byte, that a kill before one leaves.",
        "tried: states from which the same command was started. killed: times that it was killed for real, at "
        "operations spread over all. run to the end: equal results then. on as another: once the run folder was open, "
        "its files were those with which another start had ended well.",
    )
    return f"{markdown_table(_HEADER, rows)}\n\n{text}"


def main(argv: list[str]) -> int:
    arguments = parse(argv)
    folder = arguments.folder.resolve()
    counts = {}
    for name in arguments.commands:
        drill = Drill(COMMANDS[name], folder)
        drill.record()
        counts[name] = drill.try_states(arguments.every, lambda text: print(text, file=sys.stderr, flush=True))
    faults = [fault for of in counts.values() for fault in of.faults]
    print("\n".join([table(counts), *faults]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
