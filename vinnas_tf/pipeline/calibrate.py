"""Times steps of a run's stages on this machine, in a process of its own, and says how long each stage will take.

`main` runs in that process; `calibrated` starts it. With a budget of minutes it also fits the run into that, for which
it times the smallest rung of the ladder, and the one that seems to fit.
"""

if __name__ == "__main__":
    import vinnas_tf.run.startup  # noqa: F401

# isort: split
import dataclasses
import functools
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from vinnas_tf.config import DataConfig, PipelineConfig, SearchConfig, TrainConfig
from vinnas_tf.errors import FileError, require
from vinnas_tf.flags import run_cli
from vinnas_tf.kernels.device import prepare_machine
from vinnas_tf.pipeline.cost import counts, shape
from vinnas_tf.pipeline.fitting import Fitting, Plan, Speeds, stage_seconds
from vinnas_tf.pipeline.plan import Commands, commands
from vinnas_tf.pipeline.timing import time_search, time_train
from vinnas_tf.run.child import run_in_sight


def calibrated(config: PipelineConfig, path: Path) -> Plan:
    """Times steps in a fresh process, and plans.

    Raises:
        FileError: it ended otherwise than by itself.
        SystemExit: it refused, and has said why.
    """
    with tempfile.TemporaryDirectory() as folder:
        task, answer = Path(folder, "task.json"), Path(folder, "plan.json")
        content = {"config": dataclasses.asdict(config), "path": str(path)}
        task.write_text(json.dumps({**content, "began": psutil.Process().create_time()}))
        code = run_in_sight(__name__, [str(task), str(answer)])
        if code == 2:
            raise SystemExit(2)
        require(code == 0, f"the calibration ended with {code}: start the command again.", FileError)
        return Plan(**json.loads(answer.read_text()))


def measure(found: Commands, searches: bool = True) -> Speeds:
    """Times a step of each stage that learns; of the search, which takes long to trace, only where it `searches`."""
    start, search = _start_seconds(), None
    if searches and found.method.trains:
        search = time_search(found.method, shape(found.search[DataConfig]))
    if found.train is None:
        return Speeds(start, search, None)
    train = time_train(found.train[TrainConfig], found.search[SearchConfig], shape(found.train[DataConfig]))
    return Speeds(start, search, train)


@functools.cache
def _start_seconds() -> float:
    """How long this process took to start and to import what all commands do."""
    return time.time() - psutil.Process().create_time()


def main(argv: list[str]) -> None:
    """The fresh process: `TASK ANSWER`, two JSON files."""
    task, answer = map(Path, argv)
    content: dict[str, Any] = json.loads(task.read_text())
    config, path = PipelineConfig(**content["config"]), Path(content["path"])
    _start_seconds()
    prepare_machine()
    if config.budget_minutes:
        plan = Fitting(config, path, measure, lambda: time.time() - content["began"]).plan()
    else:
        found = commands(config, path)
        plan = Plan("", 0, "", "", stage_seconds(found, counts(found), measure(found)))
    answer.write_text(json.dumps(dataclasses.asdict(plan)))


if __name__ == "__main__":
    run_cli(main)
