"""Writes the page, once or whenever there is something new to show."""

from collections.abc import Callable, Sequence
from pathlib import Path

from vinnas_tf.errors import UserError
from vinnas_tf.report.folder import STAGES, RunFolder, run_folders
from vinnas_tf.report.network import NetworkView, read_network
from vinnas_tf.report.page import run_page, several_page
from vinnas_tf.report.several import read_several
from vinnas_tf.run.files import write_atomically
from vinnas_tf.run.outputs import MARKER

# What an epoch, a candidate, a point of a curve and the end of a stage write.
_TELLING = ("metrics.csv", "trajectory.npz", "candidates.csv", "curve.csv", MARKER)


class Writer:
    """Writes a page of runs.

    Args:
        given: what the user named: run folders, comparisons, benchmarks.
        page: where the page is written.
    """

    def __init__(self, given: Sequence[Path], page: Path) -> None:
        self.given = given
        self.page = page
        self._networks: dict[str, NetworkView] = {}  # By the SHA-256 of the network's file.

    def write(self) -> None:
        """Writes the page anew.

        Raises:
            UserError: a file of a single run was changed or can't be read, or the page can't be written.
        """
        folders = [folder for path in self.given for folder in run_folders(path)]
        if len(self.given) == 1 and folders == [*self.given]:
            run = RunFolder(folders[0])
            text = run_page(run, self._network(run))
        else:
            names = ", ".join(path.name or str(path) for path in self.given)
            text = several_page(read_several(folders, self.given, self.page), names)
        write_atomically(self.page, text)
        print(f"Written to {self.page}", flush=True)

    def state(self) -> tuple:
        """What changes whenever there is something new to show: states of stages, and times of the files that tell."""
        found: list[tuple[str, object]] = []
        for path in self.given:
            for folder in run_folders(path):
                files = [folder / "config.json", *(folder / stage / name for stage in STAGES for name in _TELLING)]
                files += folder.glob("*/*/*/metrics.csv")  # Of fine-tuning, and of a compression's points.
                found += [(str(file), file.stat().st_mtime_ns) for file in files if file.is_file()]
                run = RunFolder(folder)
                found += [(stage, run.state(stage)) for stage in STAGES]
        return tuple(found)

    def _network(self, run: RunFolder) -> NetworkView | None:
        """What was read off the network that a run ships; None where it ships none yet. A network is read once."""
        stage = run.network_stage
        if stage is None:
            return None
        digest = run.json(stage, "result.json")["network_sha256"]
        if digest not in self._networks:
            self._networks[digest] = read_network(run, stage)
        return self._networks[digest]


def watch(writer: Writer, wait: Callable[[], None]) -> None:
    """Writes the page whenever there is something new, until `wait`, which is called between two looks, raises.

    Where something can't be read, as while a file is being replaced, it says so once and looks again.
    """
    shown: tuple | None = None
    told = ""
    while True:
        try:
            state = writer.state()
            if state != shown:
                writer.write()
                shown, told = state, ""
        except (UserError, FileNotFoundError) as error:
            if str(error) != told:
                told = str(error)
                print(f"not written: {told}", flush=True)
        wait()
