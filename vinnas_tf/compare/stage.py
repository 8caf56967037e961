"""The comparison itself: does the stages that are left, tells of each, and writes the tables."""

import contextlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.compare.board import write_board
from vinnas_tf.compare.lines import Lines
from vinnas_tf.compare.plan import Stage, plan, resolve, stage_flags
from vinnas_tf.compare.plot import draw_comparison
from vinnas_tf.compare.statistics import Result, summarize, to_csv, to_markdown
from vinnas_tf.config import CompareConfig
from vinnas_tf.console import warn_of_idle_cells
from vinnas_tf.run.engine import Engine, Job, run_all
from vinnas_tf.run.files import write_atomically
from vinnas_tf.run.folder import RunDir, require_made_with
from vinnas_tf.run.outputs import finished_file, is_finished
from vinnas_tf.search.record import search_seconds
from vinnas_tf.search.take_over import take_over


def compare(config: CompareConfig, run: RunDir, engine: Engine) -> list[Result]:
    """Does, or goes on doing, all stages, and writes what the run folder's `compare/` holds.

    Args:
        config: what is compared; `methods` names the rows.
        run: the opened run folder.
        engine: what runs the stages.

    Raises:
        SettingError: a stage failed, or was done with other settings; what is done is kept.
    """
    stages = plan(config)
    open_stages = []
    for stage in stages:
        if is_finished(stage.folder(run.path), stage.name):
            # A preset may have changed since, or somebody may have pruned it with another threshold.
            require_made_with(stage.folder(run.path), stage.name, resolve(stage, config, run.path))
        else:
            open_stages.append(stage)
    run.file("rows").mkdir(exist_ok=True)
    lines = Lines(len(stages) - len(open_stages), len(stages), one_by_one=engine.slots == 1)
    seen: dict[Stage, float] = {}

    def begin(stage: Stage) -> Job:
        job = _prepare(stage, config, run.path)
        lines.begin(stage)
        return job

    with contextlib.closing(lines):
        for stage, seconds in run_all(open_stages, lambda one: one.needs, begin, engine):
            seen[stage] = seconds
            left = seconds_left([one for one in open_stages if one not in seen], seen)
            accuracy = read_result(stage, run.path).accuracy if stage.leaves_figures else None
            lines.end(stage, seconds, accuracy, None if left is None else left / engine.slots)
            if stage.leaves_figures:
                write_atomically(run.file("comparison.csv"), to_csv(collect(config, run.path)))
    results = collect(config, run.path)
    write_atomically(run.file("comparison.csv"), to_csv(results))
    write_atomically(run.file("comparison.md"), to_markdown(summarize(results)))
    draw_comparison(results, run.file("comparison.png"))
    folders = [Stage(result.row, result.seed, "search").folder(run.path) for result in results]
    write_board(results, folders, run.file("tensorboard"))
    run.mark_finished()
    return results


def collect(config: CompareConfig, path: Path) -> list[Result]:
    """The figures of all rows and seeds that are finished, row by row."""
    last = [stage for stage in plan(config) if stage.leaves_figures and is_finished(stage.folder(path), stage.name)]
    return [read_result(stage, path) for row in config.methods for stage in last if stage.row == row]


def read_result(stage: Stage, path: Path) -> Result:
    """The figures of a row and seed whose last stage is finished, in the comparison's folder `path`."""
    folder = stage.folder(path)
    figures = json.loads(finished_file(folder, stage.name, "result.json").read_text(encoding="utf-8"))
    if stage.spec.of_channels:
        trained, parameter_free, found = "fine_tuning_seconds", None, "masks_sha256"
        params = figures["params_stored_nonzero"]
    else:
        trained, found, params = "train_seconds", "genotype_sha256", figures["params_nonzero"]
        parameter_free = Genotype.load(finished_file(folder, "train", "genotype.json")).parameter_free_share
    return Result(
        row=stage.row,
        seed=stage.seed,
        accuracy=figures["test"]["stripped"]["accuracy"],
        params_nonzero=params,
        search_seconds=search_seconds(folder),
        train_seconds=figures[trained],
        parameter_free=parameter_free,
        genotype=figures[found],
    )


def seconds_left(stages: Iterable[Stage], seen: Mapping[Stage, float]) -> float | None:
    """Estimate of the seconds that `stages` will take, from those that finished stages took; None: nothing is known.

    A stage takes the mean of its row's of the same kind, or else the mean of all of that kind.
    """
    total = 0.0
    for stage in stages:
        alike = [(other.row == stage.row, seconds) for other, seconds in seen.items() if other.name == stage.name]
        if not alike:
            return None
        times = [seconds for same, seconds in alike if same] or [seconds for _, seconds in alike]
        total += sum(times) / len(times)
    return total


def warn_of_found(stage: Stage, path: Path) -> None:
    """Tells, before its training, of a found cell in which nothing learns."""
    genotype = Genotype.load(finished_file(stage.folder(path), "search", "genotype.json"))
    warn_of_idle_cells(genotype, f"{stage.row}, seed {stage.seed}")


def _prepare(stage: Stage, config: CompareConfig, path: Path) -> Job:
    """What is run for a stage whose needs have ended."""
    folder = stage.folder(path)
    if stage.name == "train":
        warn_of_found(stage, path)
    elif stage.spec.epochs_of:
        *_, own = resolve(stage, config, path)
        take_over(stage.search_of(stage.spec.epochs_of).folder(path), folder, own)
    name = f"{stage.row}, seed {stage.seed}, {stage.name}"
    return Job(name, f"vinnas_tf.{stage.name}", stage_flags(stage, config, path), Path(f"{folder}.log"))
