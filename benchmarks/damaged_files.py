"""Damages each file of a run folder, and sees what the next command makes of it.

    python -m benchmarks.damaged_files --folder=runs/crash_drill

A file is emptied, cut to half, cut by its last byte, and one of its bits is turned. The command may refuse it in one
line that names it, say that it goes on otherwise, or end with equal results; the exit code is 1 where it did anything
else. What the drill of crashes keeps in the folder is used, and made where it is missing.
"""

if __name__ == "__main__":
    import vinnas_tf.run.startup  # noqa: F401

# isort: split
import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.command import make_parser, notes, path_option, require_positive
from benchmarks.crash_drill import forked, tree
from benchmarks.crash_drill.commands import COMMANDS
from benchmarks.crash_drill.drill import Drill
from benchmarks.crash_drill.points import reading
from vinnas_tf.run.files import write_atomically
from vinnas_tf.run.tables import markdown_table

_PICTURE = "picture.png"
_FILE = "{run_dir}/export/tflite/float32.tflite"


@dataclass(frozen=True)
class Case:
    """A command, and what it finds.

    Attributes:
        name: what it is called here.
        of: the drilled command that left it.
        before: it was killed before it wrote a file of this name; empty: it was finished.
        module: what is run; empty: the drilled command.
        flags: of it; {run_dir} stands for the run folder.
    """

    name: str
    of: str
    before: str = ""
    module: str = ""
    flags: tuple[str, ...] = ()


_RUN_DIR = "--run_dir={run_dir}"
_ALL = (
    Case("search-resumed", "search", ".genotype.json.tmp"),
    Case("pgnas-resumed", "pgnas", ".posterior.json.tmp"),
    Case("train-resumed", "train", ".threshold.csv.tmp"),
    Case("fine-tuning-resumed", "fine-tuning", ".threshold.csv.tmp"),
    Case("compress-resumed", "compress", ".compression.json.tmp"),
    Case("compare-resumed", "compare", ".comparison.md.tmp"),
    Case("train-of-search", "search", "", "vinnas_tf.train", (*COMMANDS["train"].flags, _RUN_DIR)),
    Case("prune-again", "train", "", "vinnas_tf.train", (*COMMANDS["re-pruning"].flags, _RUN_DIR)),
    Case("compress-of-train", "train", "", "vinnas_tf.compress", (*COMMANDS["compress"].flags, _RUN_DIR)),
    Case("export-of-train", "train", "", "vinnas_tf.export", (*COMMANDS["export"].flags, _RUN_DIR)),
    Case("search-finished", "search"),
    Case("train-finished", "train"),
    Case("compress-finished", "compress"),
    Case("compare-finished", "compare"),
    Case("export-finished", "export"),
    Case("verify", "export", "", "vinnas_tf.export.verify", (_FILE,)),
    Case("predict", "export", "", "vinnas_tf.export.predict", (_FILE, _PICTURE)),
)
CASES = {case.name: case for case in _ALL}


def _turned(content: bytes) -> bytes:
    place = 3 * len(content) // 5
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "a byte less": lambda content: content[:-1],
    "a bit turned": _turned,
}
REFUSED, TOLD, EQUAL, UNREAD = "refused", "told", "equal", "not read"


class Trial:
    """A case in a folder of its own, which keeps what was tried."""

    def __init__(self, case: Case, folder: Path) -> None:
        self.case = case
        self._drill = Drill(COMMANDS[case.of], folder)
        self.run_dir = self._drill.run_dir
        self.folder = folder / "damaged" / case.name

    def outcomes(self, every: int, tell: Callable[[str], None]) -> dict[str, str]:
        """What the command made of each damage of each file, by "FILE, DAMAGE"; of every so many of them."""
        self._drill.record()
        start = self._drill.state_at(self.case.before)
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "outcomes.json"
        kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        read: set[str] = set()
        tree.copy(start, self.run_dir)
        well = self._run(read)
        expected = well.code, self._made(well)
        wanted = [*_damages(start)][::every]
        found = {}
        for file, damage in wanted:
            name = f"{file}, {damage}"
            if file not in read:
                kept[name] = UNREAD
            elif kept.get(name) not in (REFUSED, TOLD, EQUAL):
                tree.copy(start, self.run_dir)
                place = self.run_dir / file
                place.write_bytes(DAMAGES[damage](place.read_bytes()))
                kept[name] = self._judge(file, expected)
                write_atomically(path, json.dumps(kept, indent=1))
            found[name] = kept[name]
            tell(f"{self.case.name} {len(found)}/{len(wanted)} {name}: {found[name]}")
        return found

    def _judge(self, file: str, expected: tuple[int, Any]) -> str:
        """Runs the command on a damaged file."""
        before = {path: path.read_bytes() for path in tree.files(self.run_dir)}
        end = self._run(set())
        named = Path(file).name in end.printed
        if end.has_traceback:
            return f"traceback: {end.printed.splitlines()[-1]}"
        if end.code == 2:
            if len(end.errors) != 1 or not named:
                return f"an unclear refusal: {end.errors}"
            changed = [
                path.name for path, content in before.items() if not path.exists() or path.read_bytes() != content
            ]
            return f"refused, and changed {changed}" if changed else REFUSED
        if (end.code, self._made(end)) != expected:
            return f"another result, exit code {end.code}"
        told = any(
            Path(file).name in line for line in end.printed.splitlines() if "damaged" in line or "warning" in line
        )
        return TOLD if told else EQUAL

    def _run(self, read: set[str]) -> forked.End:
        """Runs the command; `read` gets the files of the run folder that it opens to read."""
        flags = [flag.format(run_dir=self.run_dir) for flag in self.case.flags]
        flags = [str(_picture(self.folder)) if flag == _PICTURE else flag for flag in flags]
        command = COMMANDS[self.case.of]
        opened = self.folder / "opened"
        opened.unlink(missing_ok=True)

        def before() -> None:
            reading(self.run_dir, opened)

        module = self.case.module or command.module
        end = forked.run(module, flags or command.line(self.run_dir), self.folder / "log", before)
        if opened.exists():
            read |= set(opened.read_text().splitlines())
        return end

    def _made(self, end: forked.End) -> Any:
        """What the command came to."""
        return end.printed if self.case.module.endswith("predict") else tree.contents(self.run_dir)


def _damages(start: Path) -> Iterator[tuple[str, str]]:
    """Files with content, by their path, and what is done to them."""
    for path in tree.files(start):
        if path.stat().st_size:
            for damage in DAMAGES:
                yield path.relative_to(start).as_posix(), damage


def _picture(folder: Path) -> Path:
    from PIL import Image

    path = folder / _PICTURE
    if not path.exists():
        Image.linear_gradient("L").resize((8, 8)).save(path)
    return path


def parse(argv: list[str]) -> argparse.Namespace:
    parser = make_parser("benchmarks.damaged_files", __doc__)
    parser.add_argument("--folder", type=path_option, default=Path("runs/crash_drill"), help="keeps what was tried")
    parser.add_argument("--cases", default=",".join(CASES), help="which, of %(default)s")
    parser.add_argument("--every", type=int, default=1, help="tries every so many damages (%(default)s: all)")
    arguments = parser.parse_args(argv)
    require_positive(parser, arguments, "every")
    arguments.cases = arguments.cases.split(",")
    if unknown := set(arguments.cases) - CASES.keys():
        parser.error(f"--cases does not know {', '.join(sorted(unknown))}.")
    return arguments


def table(outcomes: dict[str, dict[str, str]]) -> str:
    good = (UNREAD, REFUSED, TOLD, EQUAL)
    rows = []
    for name, found in outcomes.items():
        counts = Counter(one if one in good else "faults" for one in found.values())
        files = len({one.rsplit(", ", 1)[0] for one in found})
        rows.append((name, *map(str, (files, len(found), *(counts[one] for one in (*good, "faults"))))))
    return markdown_table(("command", "files", "damages", *good, "faults"), rows)


def main(argv: list[str]) -> int:
    arguments = parse(argv)
    folder = arguments.folder.resolve()
    outcomes = {}
    for name in arguments.cases:
        outcomes[name] = Trial(CASES[name], folder).outcomes(
            arguments.every, lambda text: print(text, file=sys.stderr, flush=True)
        )
    good = (UNREAD, REFUSED, TOLD, EQUAL)
    faults = [f"{name}: {of}: {one}" for name, all in outcomes.items() for of, one in all.items() if one not in good]
    print(table(outcomes))
    print(
        notes(
            "not read: the command never opens that file. refused: one line that names it, exit code 2, nothing "
            "changed. told: a line that names it, and equal results. equal: equal results, since the file is only "
            "written. faults: a traceback, another result, an unclear line.",
        )
    )
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
