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
import sys
import textwrap
from pathlib import Path

from vinnas_tf.compare.plan import able_methods, check, plan, resolve
from vinnas_tf.compare.rows import known_rows, require_rows
from vinnas_tf.compare.stage import compare
from vinnas_tf.compare.statistics import from_csv, summarize, to_text
from vinnas_tf.config import CompareConfig, DataConfig, EngineConfig, RunConfig
from vinnas_tf.console import how_to_watch
from vinnas_tf.data.images import open_source
from vinnas_tf.flags import docstring, read_flags, run_cli
from vinnas_tf.run.engines import make_engine
from vinnas_tf.run.files import read_text
from vinnas_tf.run.folder import RunDir, default_run_dir
from vinnas_tf.run.outputs import finished_file


def main(argv: list[str]) -> None:
    """The command: reads flags, opens the run folder, does what is left to do, and prints the table."""
    rows = textwrap.fill(f"Rows that --methods knows: {', '.join(known_rows())}.", 80, break_on_hyphens=False)
    settings = read_flags(
        argv,
        CompareConfig,
        EngineConfig,
        RunConfig,
        command="compare",
        usage=f"{docstring(sys.modules[__name__])}\n{rows}",
    )
    config, where = settings[CompareConfig], settings[RunConfig]
    require_rows(config.methods)
    data = config.dataset or config.preset or DataConfig().dataset
    path = Path(where.run_dir) if where.run_dir else default_run_dir(data, "compare", config.first_seed)
    config = dataclasses.replace(config, methods=config.methods or able_methods(config, path))
    check(config, path)
    engine = make_engine(settings[EngineConfig].engine)
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
            last = next(stage for stage in plan(config) if stage.leaves_figures)
            open_source(resolve(last, config, path)[0]).part("test")
            title = f"Compare in {path}: {', '.join(config.methods)}; seeds: {config.seeds}, from {config.first_seed}."
            print(textwrap.fill(title, 80, break_on_hyphens=False), how_to_watch(path), sep="\n", flush=True)
            results = compare(config, run, engine)
        print(f"\n{to_text(summarize(results))}\nWritten to {run.file('')}")


if __name__ == "__main__":
    run_cli(main)
