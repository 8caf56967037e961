"""What happens before the first stage of a run: checks, the plan that is kept, and what a person is told."""

import dataclasses
import json
import shlex
import textwrap
from pathlib import Path

from vinnas_tf.config import Bounds, DataConfig, PipelineConfig
from vinnas_tf.console import counted, duration
from vinnas_tf.data.images import open_source
from vinnas_tf.pipeline.calibrate import calibrated
from vinnas_tf.pipeline.fitting import Plan
from vinnas_tf.pipeline.plan import commands
from vinnas_tf.run.digest import sha256
from vinnas_tf.run.files import write_atomically
from vinnas_tf.run.folder import RunDir
from vinnas_tf.run.outputs import RESULTS, is_finished

_PLAN = "plan.json"
_REMOVED = ("search", "train", "compress", "export")  # When a run starts anew: all that follows from each other.
_ANY_SIZE = 32
# With others, finished stages are kept, and what follows from them is done again.
_LATE = (*(field.name for field in dataclasses.fields(Bounds)), "export", "reproduce")


def prepared(config: PipelineConfig, path: Path, overwrite: bool) -> PipelineConfig:
    """Checks everything, plans or takes the plan that was made before, and tells it; returns what to do.

    Args:
        config: what is asked for.
        path: the run folder; it is made.
        overwrite: start anew.

    Raises:
        SettingError: a command line is wrong, or the budget is too small.
        DataError: the data set can't be used.
        RunFolderError: the folder is another run's.
    """
    first = commands(config, path)
    data = first.search[DataConfig]
    if config.budget_minutes and not data.image_size:
        data = dataclasses.replace(data, image_size=_ANY_SIZE)  # The size is chosen later.
    open_source(data, counted).part("test")  # Tells now, and not after the search, what is wrong with the images.
    with RunDir(
        path,
        stage="pipeline",
        settings=[config],
        data_fingerprint=sha256(config.dataset),  # Each stage holds its data to its own.
        preset=config.preset,
        overwrite=overwrite,
        late_settings=_LATE,
    ) as run:
        if overwrite:
            for stage in _REMOVED:
                run.remove(stage)
    file = path / "pipeline" / _PLAN
    print(textwrap.fill(f"Runs in {path}: {', '.join(first.flags)}.", 80, break_on_hyphens=False), flush=True)
    if file.exists():
        plan = Plan(**json.loads(file.read_text(encoding="utf-8")))
    else:
        learnt = all(is_finished(path, name) for name in first.flags if name in ("search", "train"))
        if learnt and not config.budget_minutes:  # By the single commands: nothing is left that takes long.
            plan = Plan("", 0, "", "", {})
        else:
            print("Times steps on this machine.", flush=True)
            plan = calibrated(config, path)
        write_atomically(file, json.dumps(dataclasses.asdict(plan), indent=2) + "\n")
    chosen = plan.applied(config)
    commands(chosen, path)  # What was chosen has to fit what was given.
    if config.budget_minutes:
        print(f"Chosen for {config.budget_minutes:g} minutes; this does the same:\n{command(chosen)}")
    # The page has no marker of its own: it is as finished as what it shows.
    done = [name for name in plan.seconds if name in RESULTS and is_finished(path, name)]
    left = {name: seconds for name, seconds in plan.seconds.items() if name not in done}
    parts = ", ".join(f"{name} {duration(seconds)}" for name, seconds in left.items())
    if left:
        told = f"Estimate for all that is left: {duration(sum(left.values()))} ({parts})."
        print(textwrap.fill(told, 80), flush=True)
    return chosen


def command(config: PipelineConfig) -> str:
    """The command line that does the same without a budget, as a shell takes it, in 80 columns."""
    values = {
        field.name: getattr(config, field.name)
        for field in dataclasses.fields(config)
        if field.name != "budget_minutes" and getattr(config, field.name) != field.default
    }
    words = ["python -m vinnas_tf"]
    for name, value in values.items():
        # A line may end inside double quotes, and not inside single ones.
        flags = name in ("search", "train", "export") and not set(value) & set('"$`\\!')
        words += f'--{name}="{value}"'.split() if flags else [shlex.quote(f"--{name}={value}")]
    # Blanks inside a quoted word are no places to break at.
    line = " ".join(word.replace(" ", "\0") for word in words)
    lines = textwrap.wrap(line, 76, break_long_words=False, break_on_hyphens=False)
    return " \\\n".join(f"  {line}" for line in lines).replace("\0", " ")
