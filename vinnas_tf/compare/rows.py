"""What a comparison can have as a row: a search method, or one with a part of it taken out."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vinnas_tf.architecture.found import Found
from vinnas_tf.config import DataConfig, SearchConfig, restored
from vinnas_tf.errors import require
from vinnas_tf.methods import METHODS, make_method, method_class
from vinnas_tf.methods.channels import ChannelMethod
from vinnas_tf.run.files import write_atomically
from vinnas_tf.run.folder import RunDir, stage_record
from vinnas_tf.run.outputs import finished_file


@dataclass(frozen=True)
class Row:
    """A search method and what differs from it.

    Attributes:
        method: a key of METHODS.
        flags: what differs, as flags of the search.
        again: the method's settings that differ where only the choice reads them: the row chooses from what the
            method's own search found, which is then not done again. Empty: the row has a search of its own.
    """

    method: str
    flags: tuple[str, ...] = ()
    again: Mapping[str, str] = field(default_factory=dict)


ABLATIONS = {
    "vinnas-magnitude": Row("vinnas", again={"select": "magnitude"}),
    "vinnas-no-entropy": Row("vinnas", ("--gamma_entropy=0",)),
    "vinnas-no-kl-alphas": Row("vinnas", ("--gamma_alphas=0",)),
    "vinnas-point-weights": Row("vinnas", ("--novariational",)),
    "si_vdnas-mode": Row("si_vdnas", again={"choose": "mode"}),
    "darts-second-order": Row("darts", ("--darts_order=2",)),
    "bayesnas-entropy-only": Row("bayesnas", ("--determined=0",)),
    "bayesnas-normalized": Row("bayesnas", ("--normalize_switches",)),
    "bayesnas-magnitude": Row("bayesnas", again={"keep": "magnitude"}),
}


def known_rows() -> dict[str, Row]:
    """Every row by its name: methods that find cells, whose network is then trained, and ablations."""
    of_cells = [method for method, kind in METHODS.items() if not issubclass(kind, ChannelMethod)]
    return {**{method: Row(method) for method in of_cells}, **ABLATIONS}


def require_rows(names: tuple[str, ...]) -> None:
    """Raises SettingError unless each name is that of a row."""
    rows = known_rows()
    unknown = [name for name in names if name not in rows]
    require(not unknown, f"--methods knows {', '.join(rows)}; got {', '.join(unknown)}.")


def choose_again(source: Path, again: Mapping[str, str], target: Path) -> None:
    """Makes `target` the run folder of a search that is the one in `source` but for how it chose.

    It is what the search itself, with those settings, would have found: the choice comes after the last epoch.

    Args:
        source: run folder with a finished search.
        again: settings of its method that only the choice reads.
        target: run folder to write.

    Raises:
        SettingError: `source` has no finished search, or `target` cannot be written.
    """
    record = stage_record(source, "search")
    config = restored(SearchConfig, record["settings"])
    own: Any = restored(method_class(config.method).Settings, record["settings"])
    method = make_method(config, dataclasses.replace(own, **again))
    found = Found.load(finished_file(source, "search", "posterior.json"))
    with RunDir(
        target,
        stage="search",
        settings=[restored(DataConfig, record["settings"]), config, method.settings],
        data_fingerprint=record["data_fingerprint"],
        preset=record["preset"],
    ) as run:
        if run.finished:
            return
        found.save(run.file("posterior.json"), method.columns(found))
        write_atomically(run.file("metrics.csv"), finished_file(source, "search", "metrics.csv").read_bytes())
        method.derive(found).save(run.file("genotype.json"))
        run.mark_finished()
