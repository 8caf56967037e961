"""Searches, trains and exports a network for a data set, and shows it: the whole way in one command.

    python -m vinnas_tf --dataset=folder:pictures --budget_minutes=10 --max_bytes=100000

Runs vinnas_tf.search, vinnas_tf.train, vinnas_tf.export and vinnas_tf.report one after
the other in one run folder, with the same results as those commands. What is done is skipped, so the
same command goes on where it was interrupted. --budget_minutes chooses the network's
size and the epochs, and the bounds choose how much is pruned.
"""

if __name__ == "__main__":
    import vinnas_tf.run.startup  # noqa: F401

# isort: split
import sys
import time
from pathlib import Path

from vinnas_tf.config import PipelineConfig, RunConfig
from vinnas_tf.flags import docstring, read_flags, run_cli
from vinnas_tf.pipeline.plan import commands, with_defaults
from vinnas_tf.pipeline.prepare import prepared
from vinnas_tf.pipeline.reproduce import BYTES, CONTENT, reproduce, table
from vinnas_tf.pipeline.run import Pipeline
from vinnas_tf.pipeline.summary import summary
from vinnas_tf.run.folder import default_run_dir


def main(argv: list[str]) -> None:
    """The command: reads flags, says how long it will take, does the stages that are left, and sums up."""
    started = time.monotonic()
    settings = read_flags(argv, PipelineConfig, RunConfig, command="pipeline", usage=docstring(sys.modules[__name__]))
    asked, where = settings[PipelineConfig], settings[RunConfig]
    if asked.reproduce:
        compared = reproduce(Path(asked.reproduce), Path(where.run_dir or f"{asked.reproduce.rstrip('/')}-again"))
        print(f"\n{table(compared)}")
        sys.exit(0 if {BYTES, CONTENT}.issuperset(compared.values()) else 1)
    path = Path(where.run_dir) if where.run_dir else default_run_dir(asked.dataset, asked.method, asked.seed)
    config = prepared(with_defaults(asked), path, where.overwrite)
    pipeline = Pipeline(config, commands(config, path), path)
    pipeline.run()
    print(f"\n{summary(pipeline.done.values(), path, pipeline.choice, time.monotonic() - started)}")
    if pipeline.failed:
        sys.exit(1)


if __name__ == "__main__":
    run_cli(main)
