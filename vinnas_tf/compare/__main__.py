"""Compares search methods: for all the same space, data, epochs and retraining.

    python -m vinnas_tf.compare --dataset=digits --seeds=3 --run_dir=runs/c

Searches and trains with every method and seed, each in a run folder of its own inside
the run folder, and writes the figures of all, one table and one picture into compare/.
The same command resumes a comparison that was interrupted, with the same figures;
with more seeds or methods it adds them.
"""

if __name__ == "__main__":
    import vinnas_tf.run.startup  # noqa: F401

# isort: split
import dataclasses
import json
import re
import shlex
import sys
import textwrap
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.architecture.space import SPACES
from vinnas_tf.compare.plot import draw_comparison
from vinnas_tf.compare.rows import choose_again, known_rows, require_rows
from vinnas_tf.compare.statistics import Result, from_csv, summarize, to_csv, to_markdown, to_text
from vinnas_tf.config import CompareConfig, DataConfig, RunConfig, SearchConfig, TrainConfig
from vinnas_tf.console import duration, warn_of_idle_cells
from vinnas_tf.data.images import open_source
from vinnas_tf.errors import SettingError, UserError, require
from vinnas_tf.flags import docstring, given_flags, preset_names, read_flags, run_cli
from vinnas_tf.methods import METHODS, make_method, method_variants, names, read_by
from vinnas_tf.methods.base import NoSettings
from vinnas_tf.run.child import run_command
from vinnas_tf.run.files import read_text, write_atomically
from vinnas_tf.run.folder import RunDir, default_run_dir, require_made_with
from vinnas_tf.run.outputs import finished_file, is_finished
from vinnas_tf.search.record import search_seconds
from vinnas_tf.train.__main__ import handed_on

# What the comparison itself decides, so that all rows share it and a stage that was killed is resumed.
_OWN_FLAGS = (
    "method", "seed", "dataset", "data_dir", "preset", "genotype", "run_dir", "overwrite", "help", "h", "flagfile",
)  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """One piece of the work: the "search" or the "train" of a row with a seed."""

    row: str
    seed: int
    name: str

    def folder(self, path: Path) -> Path:
        """The run folder of this row and seed, in that of the comparison."""
        return path / "compare" / "rows" / f"{self.row}-seed{self.seed}"


def plan(config: CompareConfig) -> list[Stage]:
    """All stages in the order of work: seed by seed, so that the first seeds of all rows are soon there to compare."""
    rows = known_rows()
    stages: list[Stage] = []
    for seed in range(config.first_seed, config.first_seed + config.seeds):
        for row in config.methods:
            if rows[row].again:  # It chooses from the search of its method.
                stages.append(Stage(rows[row].method, seed, "search"))
            stages += [Stage(row, seed, "search"), Stage(row, seed, "train")]
    return list(dict.fromkeys(stages))


def stage_flags(stage: Stage, config: CompareConfig, path: Path) -> list[str]:
    """The command line of a stage of the comparison in `path`; what a training does not get it has from its search."""
    given = {
        "preset": config.preset if config.preset in preset_names(stage.name) else "",
        "dataset": config.dataset,
        "data_dir": config.data_dir,
    }
    flags = [f"--{name}={value}" for name, value in given.items() if value]
    if stage.name == "train":
        flags += shlex.split(config.train)
    else:
        row = known_rows()[stage.row]
        read = read_by(METHODS[row.method]) | names(DataConfig)
        flags += [flag for name, flag in _search_flags(config).items() if name in read]
        flags += [*row.flags, f"--method={row.method}", f"--seed={stage.seed}"]
    return [*flags, f"--run_dir={stage.folder(path)}"]


def check(config: CompareConfig, path: Path) -> None:
    """Reads the command lines of all stages as the commands will, so that a mistake is told before hours of work.

    Raises:
        SettingError: one of them is wrong, or searches and trainings would not read the same data set.
    """
    require(
        not config.preset or config.preset in {*preset_names("search"), *preset_names("train")},
        f"unknown preset {config.preset!r}: choose from {', '.join(preset_names('search'))}.",
    )
    for name in ("search", "train"):
        words = shlex.split(getattr(config, name))
        own = [flag for flag in _OWN_FLAGS if any(re.match(rf"--?(no)?{flag}(=|$)", word) for word in words)]
        require(not own, f"--{name} can't have --{', --'.join(own)}: the comparison decides that, for all rows alike.")
    methods = {known_rows()[row].method for row in config.methods}
    read = names(DataConfig).union(*(read_by(METHODS[method]) for method in methods))
    unread = [name for name in _search_flags(config) if name not in read]
    require(not unread, f"--search has --{', --'.join(unread)}, which none of {', '.join(sorted(methods))} reads.")
    for row in config.methods:
        data, search, own = resolve(Stage(row, config.first_seed, "search"), config, path)
        make_method(search, own)
        train_data, train, _ = resolve(Stage(row, config.first_seed, "train"), config, path)
        require(
            data.dataset == train_data.dataset,
            f"the search would read {data.dataset} and the training {train_data.dataset}: "
            "name the data set with --dataset.",
        )
        missing = sorted(set(train.cells) - set(search.cells)) if SPACES[search.space].reduces else []
        require(
            not missing,
            f"the training's --cells={train.cells} has {' and '.join(missing)}, which the search's "
            f"--cells={search.cells} has not: give both the same letters.",
        )


def able_methods(config: CompareConfig, path: Path) -> tuple[str, ...]:
    """The methods that can search the space of this comparison.

    Raises:
        SettingError: the command line of a search is wrong.
    """
    rows = [name for name in METHODS if name in known_rows()]
    space_of = {name: resolve(Stage(name, config.first_seed, "search"), config, path)[1].space for name in rows}
    return tuple(name for name, space in space_of.items() if METHODS[name].can_search(SPACES[space]))


def resolve(stage: Stage, config: CompareConfig, path: Path) -> tuple[DataConfig, Any, Any]:
    """The settings that the command of a stage will have: DataConfig, SearchConfig or TrainConfig, the method's own.

    Raises:
        SettingError: its command line is wrong.
    """
    flags = stage_flags(dataclasses.replace(stage, name="search"), config, path)
    variants = method_variants()
    search = read_flags(flags, DataConfig, SearchConfig, RunConfig, command="search", usage="", variants=variants)
    if stage.name == "search":
        own = dataclasses.replace(search.variant, **known_rows()[stage.row].again)
        return search[DataConfig], search[SearchConfig], own
    found = handed_on(dataclasses.asdict(search[DataConfig]) | dataclasses.asdict(search[SearchConfig]), search.preset)
    flags = stage_flags(stage, config, path)
    train = read_flags(flags, DataConfig, TrainConfig, RunConfig, command="train", usage="", inherit=lambda _: found)
    return train[DataConfig], train[TrainConfig], NoSettings()


def _search_flags(config: CompareConfig) -> dict[str, str]:
    """What --search gives, by name."""
    return given_flags(shlex.split(config.search), DataConfig, SearchConfig, RunConfig, variants=method_variants())


def read_result(stage: Stage, path: Path) -> Result:
    """The figures of a row and seed whose training is finished, in the comparison's folder `path`."""
    folder = stage.folder(path)
    figures = json.loads(finished_file(folder, "train", "result.json").read_text(encoding="utf-8"))
    return Result(
        row=stage.row,
        seed=stage.seed,
        accuracy=figures["test"]["stripped"]["accuracy"],
        params_nonzero=figures["params_nonzero"],
        search_seconds=search_seconds(folder),
        train_seconds=figures["train_seconds"],
        parameter_free=Genotype.load(finished_file(folder, "train", "genotype.json")).parameter_free_share,
        genotype=figures["genotype_sha256"],
    )


def collect(config: CompareConfig, path: Path) -> list[Result]:
    """The figures of all finished trainings, row by row."""
    trainings = [stage for stage in plan(config) if stage.name == "train" and is_finished(stage.folder(path), "train")]
    return [read_result(stage, path) for row in config.methods for stage in trainings if stage.row == row]


def compare(config: CompareConfig, run: RunDir) -> list[Result]:
    """Does, or goes on doing, all stages, and writes what the run folder's `compare/` holds.

    Args:
        config: what is compared; `methods` names the rows.
        run: the opened run folder.

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
    done = len(stages) - len(open_stages)
    if done:
        print(f"{done} of {len(stages)} stages are done.")
    print(f"  stage {'row':<21}{'seed':>5}  {'':<7}{'minutes':>9}{'accuracy':>11}{'left':>11}", flush=True)
    seen: dict[Stage, float] = {}
    for position, stage in enumerate(open_stages):
        if stage.name == "train":
            warn_of_found(stage, run.path)
        number = f"{done + position + 1:>3}/{len(stages)}"
        print(f"{number:<8}{stage.row:<21}{stage.seed:>5}  {stage.name:<7}", end="", flush=True)
        try:
            seen[stage] = _run(stage, config, run.path)
        except UserError as error:
            raise SettingError(f"{stage.row}, seed {stage.seed}, {stage.name}: {error}") from error
        finally:
            if stage not in seen:
                print(flush=True)  # The line is still open.
        accuracy = f"{read_result(stage, run.path).accuracy:.2%}" if stage.name == "train" else "-"
        left = seconds_left(open_stages[position + 1 :], seen)
        ahead = "-" if left is None else duration(left)
        print(f"{seen[stage] / 60:>9.1f}{accuracy:>11}{ahead:>11}", flush=True)
        if stage.name == "train":
            write_atomically(run.file("comparison.csv"), to_csv(collect(config, run.path)))
    results = collect(config, run.path)
    write_atomically(run.file("comparison.csv"), to_csv(results))
    write_atomically(run.file("comparison.md"), to_markdown(summarize(results)))
    draw_comparison(results, run.file("comparison.png"))
    run.mark_finished()
    return results


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


def main(argv: list[str]) -> None:
    """The command: reads flags, opens the run folder, does what is left to do, and prints the table."""
    rows = textwrap.fill(f"Rows that --methods knows: {', '.join(known_rows())}.", 80, break_on_hyphens=False)
    settings = read_flags(
        argv, CompareConfig, RunConfig, command="compare", usage=f"{docstring(sys.modules[__name__])}\n{rows}"
    )
    config, where = settings[CompareConfig], settings[RunConfig]
    require_rows(config.methods)
    data = config.dataset or config.preset or DataConfig().dataset
    path = Path(where.run_dir) if where.run_dir else default_run_dir(data, "compare", config.first_seed)
    config = dataclasses.replace(config, methods=config.methods or able_methods(config, path))
    check(config, path)
    with RunDir(
        path,
        stage="compare",
        settings=[config],
        data_fingerprint="",  # Each search and training holds its data to its own.
        preset=config.preset,
        overwrite=where.overwrite,
        late_settings=("methods", "seeds"),
    ) as run:
        if run.finished:
            print(f"{path} is finished: its table is in {run.file('comparison.md')}. --overwrite starts anew.")
            results = from_csv(read_text(finished_file(path, "compare", "comparison.csv")))
        else:
            # The first search reads the training images at once; of the test images it is told now and not hours later.
            open_source(resolve(Stage(config.methods[0], config.first_seed, "train"), config, path)[0]).part("test")
            title = f"Compare in {path}: {', '.join(config.methods)}; seeds: {config.seeds}, from {config.first_seed}."
            print(textwrap.fill(title, 80, break_on_hyphens=False))
            results = compare(config, run)
        print(f"\n{to_text(summarize(results))}\nWritten to {run.file('')}")


def _run(stage: Stage, config: CompareConfig, path: Path) -> float:
    """Does a stage to its end; returns the seconds that this took."""
    started = time.monotonic()
    row = known_rows()[stage.row]
    folder = stage.folder(path)
    if stage.name == "search" and row.again:
        choose_again(Stage(row.method, stage.seed, "search").folder(path), row.again, folder)
    else:
        run_command(f"vinnas_tf.{stage.name}", stage_flags(stage, config, path), Path(f"{folder}.log"))
    return time.monotonic() - started


def warn_of_found(stage: Stage, path: Path) -> None:
    """Tells, before its training, of a found cell in which nothing learns."""
    genotype = Genotype.load(finished_file(stage.folder(path), "search", "genotype.json"))
    warn_of_idle_cells(genotype, f"{stage.row}, seed {stage.seed}")


if __name__ == "__main__":
    run_cli(main)
