"""Searches that a benchmark makes by the command, each in a run folder of its own."""

from collections.abc import Sequence
from pathlib import Path

from vinnas_tf.config import DataConfig, SearchConfig
from vinnas_tf.flags import read_flags
from vinnas_tf.methods import method_variants
from vinnas_tf.run.child import run_command
from vinnas_tf.run.folder import require_made_with
from vinnas_tf.run.outputs import is_finished
from vinnas_tf.search.take_over import take_over


def search_to_end(flags: Sequence[str], path: Path, source: Path | None = None) -> None:
    """Does a search, or goes on with it; one that is finished is taken as it is.

    Args:
        flags: those of the search command, but for the run folder.
        path: its run folder; what it prints goes into the file beside it that ends in `.log`.
        source: run folder of a finished search whose epochs it has; None: it has its own.

    Raises:
        UserError: the flags are wrong, the search failed, or it was made with other settings.
    """
    settings = read_flags(flags, DataConfig, SearchConfig, command="search", usage="", variants=method_variants())
    if is_finished(path, "search"):
        require_made_with(path, "search", [settings[DataConfig], settings[SearchConfig], settings.variant])
        return
    if source is not None:
        take_over(source, path, settings.variant)
    run_command("vinnas_tf.search", [*flags, f"--run_dir={path}"], Path(f"{path}.log"))
