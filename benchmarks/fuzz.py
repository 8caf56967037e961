"""Damages every kind of file that a person may hand over, and counts how its reader takes it.

    python -m benchmarks.fuzz --examples=10000

Each reader gets a whole file and then damaged ones: bytes changed, cut, repeated and made up, and where the file is
JSON or a table also values, names and depths changed, with the sum of what is sealed made anew. A reader may return or
raise UserError. Anything else is a fault, and so are two seconds for one file or 500 MB of memory.
"""

if __name__ == "__main__":
    import vinnas_tf.run.startup  # noqa: F401

# isort: split
import argparse
import json
import math
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from benchmarks.command import make_parser, require_positive
from benchmarks.fuzz_readers import Reader, readers
from vinnas_tf.errors import UserError

SECONDS, MEGABYTES = 2.0, 500
_SPECIAL: tuple[Any, ...] = (
    0, -1, 1, 2**31, 10**30, 1e308, math.inf, math.nan, "", "\x1b[2J", "../../../etc/passwd", "a\nb", "\ud800",
    "x" * 10_000, [], {}, [[]], None, True,
)  # fmt: skip
_SCALARS = st.sampled_from(_SPECIAL) | st.none() | st.booleans() | st.integers() | st.floats() | st.text()
_ANYTHING = st.recursive(_SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@dataclass
class Outcome:
    """How a reader took its files.

    Attributes:
        files: how many it was given.
        read: how many of them it took for whole.
        slowest: seconds of the one that took longest.
        megabytes: by which the largest memory of the process grew.
        faults: what it did that it may not, each with the file's beginning.
    """

    files: int = 0
    read: int = 0
    slowest: float = 0.0
    megabytes: float = 0.0
    faults: list[str] = field(default_factory=list)


@st.composite
def damaged_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """`content` with up to four changes: a byte, a cut, a part twice, a part gone, or bytes that are made up."""
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(content)))
        end = draw(st.integers(begin, min(len(content), begin + 64)))
        made_up = draw(st.binary(max_size=16))
        content = draw(
            st.sampled_from(
                (
                    content[:begin],
                    content[:begin] + made_up + content[end:],
                    content[:begin] + content[begin:end] * 2 + content[end:],
                    content[:begin] + content[end:],
                    content[:begin] + bytes(byte ^ 1 for byte in content[begin:end]) + content[end:],
                )
            )
        )
    return content


@st.composite
def damaged_json(draw: st.DrawFn, content: bytes) -> bytes:
    """`content`, a JSON text, with up to three values changed, taken away, doubled or put under another name."""
    data = json.loads(content)
    for _ in range(draw(st.integers(1, 3))):
        holders = [value for value in _values(data) if isinstance(value, dict | list) and value]
        if not holders:
            break
        holder = draw(st.sampled_from(holders))
        key = draw(st.sampled_from(list(holder) if isinstance(holder, dict) else range(len(holder))))
        match draw(st.sampled_from(("replace", "remove", "add", "deepen"))):
            case "replace":
                holder[key] = draw(_ANYTHING)
            case "remove":
                del holder[key]
            case "add" if isinstance(holder, dict):
                holder[draw(st.text())] = holder[key]
            case "add" if isinstance(holder, list):
                holder.append(holder[key])
            case "deepen":
                holder[key] = [holder[key]]
    text = json.dumps(data)
    if draw(st.integers(0, 50)) == 0:
        text = text.replace(":", ":" + "[" * 100_000, 1)
    return text.encode()


def _values(data: Any) -> list[Any]:
    """Every value in a JSON document, the document first."""
    inner = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return [data, *(value for item in inner for value in _values(item))]


def fuzz(reader: Reader, examples: int, folder: Path) -> Outcome:
    """Gives a reader a whole file in `folder`, then `examples` damaged ones; the same ones each time."""
    outcome = Outcome()
    path = folder / reader.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(reader.sample)
    reader.read(path)  # A whole file is read, or nothing below says anything.
    Path("/proc/self/clear_refs").write_text("5")  # From here on the largest memory counts.
    before = _memory("VmRSS")
    core = reader.unseal(reader.sample)
    contents = damaged_bytes(core) | damaged_json(core) if reader.is_json else damaged_bytes(core)

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(contents)
    def try_one(content: bytes) -> None:
        path.write_bytes(reader.seal(content))
        begun = time.process_time()
        try:
            reader.read(path)
            outcome.read += 1
        except UserError:
            pass
        except Exception as error:
            outcome.faults.append(f"{type(error).__name__}: {str(error)[:120]!r} of {content[:60]!r}")
        seconds = time.process_time() - begun
        outcome.files += 1
        outcome.slowest = max(outcome.slowest, seconds)
        if seconds > SECONDS:
            outcome.faults.append(f"{seconds:.1f} s for {content[:60]!r}")

    try_one()
    path.write_bytes(reader.sample)  # The next reader may need it.
    outcome.megabytes = (_memory("VmHWM") - before) / 1e6
    if outcome.megabytes > MEGABYTES:
        outcome.faults.append(f"{outcome.megabytes:.0f} MB of memory")
    return outcome


def _memory(what: str) -> int:
    """Bytes of this process: "VmRSS" as it is, or "VmHWM", the most since that was reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) * 1024


def main(argv: list[str] | None = None) -> None:
    """The command; exits 1 where a reader has a fault."""
    parser = make_parser("benchmarks.fuzz", __doc__)
    parser.add_argument("--examples", type=int, default=1000, help="damaged files for each reader (%(default)s)")
    arguments: argparse.Namespace = parser.parse_args(argv)
    require_positive(parser, arguments, "examples")
    print(
        "| file | damaged | taken for whole | slowest, s | memory, MB | faults |\n|---|---|---|---|---|---|", flush=True
    )
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for reader in readers(Path(folder)):
            outcome = fuzz(reader, max(1, arguments.examples // reader.cost), Path(folder))
            figures = f"{outcome.slowest:.2f} | {outcome.megabytes:.0f} | {len(outcome.faults)} |"
            print(f"| {reader.name} | {outcome.files} | {outcome.read} | {figures}", flush=True)
            faults += [f"{reader.name}: {fault}" for fault in outcome.faults]
    kinds = {fault.split(":")[1] + fault.split(":")[0]: fault for fault in faults}
    print(*kinds.values(), sep="\n")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main(sys.argv[1:])
