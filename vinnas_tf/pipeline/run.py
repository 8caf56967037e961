"""Does the stages of a run one after the other, and skips what is done."""

import dataclasses
import json
import sys
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.config import Bounds, DataConfig, DeviceConfig, ExportConfig, PipelineConfig, SearchConfig, TrainConfig
from vinnas_tf.errors import FileError, SettingError, require
from vinnas_tf.export import manifest, table
from vinnas_tf.export.__main__ import Origin as ExportOrigin
from vinnas_tf.network.pruning import ThresholdPoint
from vinnas_tf.pipeline.bounds import Choice
from vinnas_tf.pipeline.choose import choice, choose_and_write, curve
from vinnas_tf.pipeline.plan import Commands
from vinnas_tf.pipeline.stages import STAGES, Stage, page
from vinnas_tf.run.child import run_in_sight
from vinnas_tf.run.digest import sha256
from vinnas_tf.run.folder import changed_settings
from vinnas_tf.run.outputs import finished_file, is_finished, network_stage
from vinnas_tf.train.__main__ import Origin as TrainOrigin
from vinnas_tf.train.claim import LATE_SETTINGS

_STAGES = {stage.name: stage for stage in STAGES}


@dataclass
class Done:
    """What came of a stage.

    Attributes:
        stage: the stage.
        seconds: that it took in this process; None where it was done before.
    """

    stage: Stage
    seconds: float | None = None


class Pipeline:
    """The stages of one run folder.

    Args:
        config: what is asked for.
        commands: of the stages.
        path: the run folder.

    Attributes:
        done: what came of the stages that are finished, by name.
        choice: the threshold that the bounds ask for; None without bounds.
        failed: whether the export has a file that missed its bar.
    """

    def __init__(self, config: PipelineConfig, commands: Commands, path: Path) -> None:
        self.config = config
        self.commands = commands
        self.path = path
        self.done: dict[str, Done] = {}
        self.choice: Choice | None = None
        self.failed = False

    def run(self) -> None:
        """Does what is left to do.

        Raises:
            SettingError: no threshold is within the bounds.
            FileError: a stage ended otherwise than by itself.
            SystemExit: a stage refused to go on, and has said why.
        """
        search = self.commands.search
        settings = [search[kind] for kind in (DataConfig, SearchConfig, DeviceConfig)]
        self._do("search", [*settings, self.commands.method.settings])
        if self.commands.train is None:
            self._export()
        elif not self.config.bounds.given:
            self._train(self.commands.threshold)
            self._export()
        else:
            require(
                not is_finished(self.path, "compress"),
                f"{self.path} holds a compression, whose network an export takes, and no threshold prunes that: leave "
                f"{', '.join(self.config.bounds.given)} out, or use another run_dir.",
            )
            self._within(self.config.bounds)
        self._report()

    def finished(self, name: str, settings: Sequence[Any]) -> bool:
        """Whether a stage was done to its end with these settings."""
        return is_finished(self.path, name) and not changed_settings(self.path, name, settings)

    def _do(self, name: str, settings: Sequence[Any], *further: str) -> None:
        """Runs a stage with its flags and further ones, unless it was finished with these settings."""
        done = self.done.setdefault(name, Done(_STAGES[name]))
        if not self.finished(name, settings):
            self._start(done, *further)
        elif done.seconds is None:
            print(f"\n{self._place(name)}: done before.", flush=True)

    def _start(self, done: Done, *further: str) -> None:
        """Runs the command of a stage to its end."""
        name = done.stage.name
        print(f"\n{self._place(name)}:", flush=True)
        started = time.monotonic()
        code = run_in_sight(done.stage.module, [*self.commands.flags[name], *further])
        done.seconds = (done.seconds or 0) + time.monotonic() - started
        if name == "export" and code == 1:  # It has said which file missed its bar, and kept the others.
            return
        if code == 2:
            sys.exit(2)
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        require(code == 0, f"the {name} ended with {how}: the same command goes on from there.", FileError)

    def _place(self, name: str) -> str:
        names = list(self.commands.flags)
        return f"{names.index(name) + 1}/{len(names)} {name}"

    def _train(self, threshold: float, *further: str) -> None:
        """Trains what was found, or prunes what is trained, at a threshold."""
        assert self.commands.train is not None
        genotype = Genotype.load(finished_file(self.path, "search", "genotype.json"))
        origin = TrainOrigin(sha256(genotype.to_json()))
        config = self.commands.train[TrainConfig]
        if threshold != config.log_noise_ratio_threshold:
            config = dataclasses.replace(config, log_noise_ratio_threshold=threshold)
            further = (f"--log_noise_ratio_threshold={threshold!r}", *further)
        settings = [self.commands.train[DataConfig], config, self.commands.train[DeviceConfig], origin]
        self._do("train", settings, *further)

    def _export(self) -> None:
        result = json.loads(finished_file(self.path, network_stage(self.path), "result.json").read_bytes())
        settings = [self.commands.export[ExportConfig], ExportOrigin(result["network_sha256"])]
        stale = is_finished(self.path, "export") and not self.finished("export", settings)
        self._do("export", settings, *(["--overwrite"] if stale else []))
        self.failed = bool(table.failed(manifest.read(self.path / "export" / manifest.NAME)))

    def _report(self) -> None:
        """Writes the page, unless nothing has changed since."""
        changed = any(done.seconds is not None for done in self.done.values())
        done = self.done.setdefault("report", Done(_STAGES["report"]))
        if changed or not page(self.path).exists():
            self._start(done)
        else:
            print(f"\n{self._place('report')}: done before.", flush=True)

    def _within(self, bounds: Bounds) -> None:
        """Trains, chooses the threshold that the bounds ask for, and holds the exported files to them."""
        base = self.commands.threshold
        if not self._trained():
            self._train(base, "--fine_tuning_epochs=0")  # What is chosen is fine-tuned, and nothing before.
        asked = bounds
        while True:
            self.choice = self._choose(bounds)
            print(f"\n{textwrap.fill(f'threshold {self.choice.threshold:g}: {self.choice.reason}', 80)}", flush=True)
            self._train(self.choice.threshold)
            self._export()
            least = self._least_bytes()
            if not asked.max_bytes or least <= asked.max_bytes:
                return
            # The smallest file was not proven, or differs from what was converted for the choice.
            most = int(bounds.max_bytes * min(asked.max_bytes / least, 0.99))
            print(f"The smallest proven file has {least:,} bytes: a threshold below {most:,} is chosen.", flush=True)
            require(most > 0, f"no file is within {asked}: the smallest has {least:,} bytes.")
            bounds = dataclasses.replace(bounds, max_bytes=most)

    def _trained(self) -> bool:
        """Whether the training has ended, at whatever threshold."""
        assert self.commands.train is not None
        if not is_finished(self.path, "train"):
            return False
        settings = [self.commands.train[kind] for kind in (DataConfig, TrainConfig, DeviceConfig)]
        changes = changed_settings(self.path, "train", settings)
        return all(change.split()[0] in LATE_SETTINGS for change in changes)

    def _choose(self, bounds: Bounds) -> Choice:
        """The choice that was made before, or a new one; of thresholds that prune alike the one that was asked for."""
        export = self.commands.export[ExportConfig]
        found = choice(self.path, bounds, export)
        if found is None and bounds.max_bytes:
            flags = [f"--{name}={value}" for name, value in bounds.given.items()]
            flags += [f"--{'' if export.sparse else 'no'}sparse", f"--run_dir={self.path}"]
            code = run_in_sight("vinnas_tf.pipeline.choose", flags)
            if code == 2:
                sys.exit(2)
            found = choice(self.path, bounds, export)
            require(found is not None, f"choosing a threshold ended with exit code {code}.", FileError)
        elif found is None:
            found = choose_and_write(self.path, bounds, export, _unread)
        assert found is not None
        left = {point.threshold: point.params_nonzero for point in curve(self.path)}
        base = self.commands.threshold
        return dataclasses.replace(found, threshold=base) if left.get(base) == left[found.threshold] else found

    def _least_bytes(self) -> int:
        """Bytes of the smallest TFLite file that is proven."""
        files = manifest.read(self.path / "export" / manifest.NAME)["files"]
        proven = [entry["figures"] for name, entry in files.items() if name.startswith("tflite/")]
        sizes = [figures["bytes"] for figures in proven if not figures["failures"]]
        if not sizes:
            raise SettingError("no TFLite file is proven, so none is within max_bytes: the table above says why.")
        return min(sizes)


def _unread(point: ThresholdPoint) -> int:
    raise AssertionError(f"no bound asks for the bytes at {point}")
