"""Fits a run into a budget of minutes: the size of its networks, and how long they learn."""

import dataclasses
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from vinnas_tf.config import DataConfig, ExportConfig, PipelineConfig, SearchConfig, TrainConfig
from vinnas_tf.errors import SettingError
from vinnas_tf.pipeline.cost import (
    Counts,
    Speed,
    counts,
    export_seconds,
    report_seconds,
    search_seconds,
    smallest_side,
    train_seconds,
)
from vinnas_tf.pipeline.ladder import (
    SEARCH,
    SEARCH_SHARE,
    TRAIN,
    Extent,
    Rung,
    at_rung,
    base,
    longest,
    only,
    rungs,
    volume,
)
from vinnas_tf.pipeline.plan import Commands, commands

_TIMED_RUNGS = 2
_CURVE = 0.8  # Of seconds against volume, where one rung alone was timed: a guess.
_LARGEST = 64  # Pixels a side of pictures of many sizes.
_LEAST = Extent(SEARCH.least_epochs), Extent(TRAIN.least_epochs)
_TOLERANCE = 1.05  # As a multiple of the budget, what an estimate may come to.


@dataclass(frozen=True)
class Plan:
    """What is done, and how long it takes.

    Attributes:
        preset: that was chosen with a budget; empty without one.
        image_size: that was chosen with a budget, of all stages; 0 without one.
        search: flags of the search that were chosen, before those that were given.
        train: those of the training.
        seconds: estimate of each stage, by name.
    """

    preset: str
    image_size: int
    search: str
    train: str
    seconds: dict[str, float]

    def applied(self, config: PipelineConfig) -> PipelineConfig:
        """What is asked for with what was chosen."""
        size, preset = self.image_size or config.image_size, self.preset or config.preset
        chosen = dataclasses.replace(config, image_size=size, preset=preset, search=self.search, train=self.train)
        return chosen.with_flags(config.search, config.train)  # What was given comes last, and wins.


@dataclass(frozen=True)
class Speeds:
    """What was timed.

    Attributes:
        start: seconds that a command takes to start.
        search: of a step of the search; None where none was timed.
        train: of one of the training; None where there is none.
    """

    start: float
    search: Speed | None
    train: Speed | None


def stage_seconds(found: Commands, images: Counts, speeds: Speeds) -> dict[str, float]:
    """An estimate of each stage."""
    none = Speed(0.0, 0.0)
    search, train = speeds.search or none, speeds.train or none
    batch = found.search[SearchConfig].batch_size if found.train is None else found.train[TrainConfig].batch_size
    of_image = (search.step if found.train is None else train.step) / batch
    seconds = {"search": search_seconds(found.method, images, search, speeds.start)}
    if found.train is not None:
        config = found.train[TrainConfig]
        seconds["train"] = train_seconds(config, images, train, speeds.start, found.bounds)
    seconds["export"] = export_seconds(found.export[ExportConfig], images, of_image, speeds.start)
    return {**seconds, "report": report_seconds(speeds.start)}


class Fitting:
    """Fits a run into a budget.

    Args:
        config: what is asked for.
        path: the run folder.
        timed: times a step of the stages of some commands on this machine, as `measure` does.
        spent: seconds of the budget that are gone.

    Attributes:
        left: seconds of the budget that the stages may take.
    """

    def __init__(
        self,
        config: PipelineConfig,
        path: Path,
        timed: Callable[[Commands, bool], Speeds],
        spent: Callable[[], float],
    ) -> None:
        self.timed, self.spent = timed, spent
        # The flags that are given come behind those that are chosen.
        self.asked = dataclasses.replace(base(config), search="", train="")
        self.given = config
        self.path = path
        self.base = commands(base(config), path)
        self.budget = 60 * config.budget_minutes
        self.rungs = (
            only(config.image_size)
            if config.image_size
            else rungs(smallest_side(self.base.search[DataConfig]) or _LARGEST)
        )
        self.speeds: dict[Rung, Speeds] = {}
        self.sized: dict[tuple[Rung, Extent, Extent], tuple[Commands, Counts]] = {}

    def plan(self) -> Plan:
        """Times rungs, and takes the highest that fits.

        Raises:
            SettingError: the budget is too small for any.
        """
        best: Rung | None = self.rungs[0]
        while best is not None and best not in self.speeds and len(self.speeds) < _TIMED_RUNGS:
            self._time(best)
            best = self._best(self.rungs)
        if best is None:
            raise SettingError(self._too_small())
        extents = self._extents(best)
        chosen, seconds = self._at(best, *extents), self._seconds(best, *extents)
        return Plan(chosen.preset, chosen.image_size, chosen.search, chosen.train, seconds)

    def _at(self, rung: Rung, search: Extent, train: Extent) -> PipelineConfig:
        """The flags of a rung, without those that were given."""
        return at_rung(self.asked, self.base, rung, search, train)

    def _sized(self, rung: Rung, search: Extent, train: Extent) -> tuple[Commands, Counts]:
        """The commands of a rung with the flags that were given, and their images."""
        key = rung, search, train
        if key not in self.sized:
            found = commands(self._at(*key).with_flags(self.given.search, self.given.train), self.path)
            self.sized[key] = found, counts(found)
        return self.sized[key]

    def _seconds(self, rung: Rung, search: Extent, train: Extent) -> dict[str, float]:
        """How long the stages of a rung take."""
        return stage_seconds(*self._sized(rung, search, train), self._speeds(rung))

    def _extents(self, rung: Rung) -> tuple[Extent, Extent]:
        """How long search and training learn on a rung."""
        search, train = _LEAST
        fixed = self._seconds(rung, search, train)
        left = self.left - fixed["export"] - fixed["report"]
        share = SEARCH_SHARE if self.base.train is not None else 1.0
        if self.base.method.trains:
            search = longest(share * left, lambda extent: self._seconds(rung, extent, train)["search"], SEARCH)
        if self.base.train is not None:
            left -= self._seconds(rung, search, train)["search"]
            train = longest(left, lambda extent: self._seconds(rung, search, extent)["train"], TRAIN)
        return search, train

    def _grade(self, rung: Rung) -> int:
        """2 where search and training learn as long as wished for on a rung, 1 where it is sensible, else 0."""
        extents = self._extents(rung)
        found, images = self._sized(rung, *extents)
        if sum(self._seconds(rung, *extents).values()) > _TOLERANCE * self.left:
            return 0
        grades = [2]
        if found.method.trains:
            config = found.search[SearchConfig]
            grades.append(SEARCH.grade(config.epochs, images.weights // config.batch_size))
        if found.train is not None:
            training = found.train[TrainConfig]
            grades.append(TRAIN.grade(training.epochs, images.learnt_from // training.batch_size))
        return min(grades)

    def _best(self, among: Iterable[Rung]) -> Rung | None:
        """The highest rung on which all learns as long as wished for, or else the lowest that is sensible."""
        grades = {rung: self._grade(rung) for rung in among}
        wished, sensible = ([rung for rung, grade in grades.items() if grade >= least] for least in (2, 1))
        return wished[-1] if wished else sensible[0] if sensible else None

    def _too_small(self) -> str:
        rung = self.rungs[0]
        _, images = self._sized(rung, *_LEAST)
        batches = self.base.search[SearchConfig].batch_size, TrainConfig.batch_size
        if self.base.train is not None:
            batches = batches[0], self.base.train[TrainConfig].batch_size
        least = [
            Extent(one.least_epochs, min(1.0, one.least * batch / (one.least_epochs * max(count, 1))))
            for one, batch, count in zip((SEARCH, TRAIN), batches, (images.weights, images.learnt_from), strict=True)
        ]
        minutes = math.ceil((sum(self._seconds(rung, *least).values()) + self.budget - self.left) / 6) / 10
        return (
            f"budget_minutes={self.budget / 60:g} is too short for anything sensible on these images: the smallest "
            f"network, learnt for the fewest epochs, takes about {minutes:g} minutes here. Give more, or a smaller set."
        )

    def _time(self, rung: Rung) -> None:
        """Times a rung, and tells what came out."""
        first = not self.speeds or self.base.train is None
        self.speeds[rung] = speeds = self.timed(self._sized(rung, *_LEAST)[0], first)
        self.left = self.budget - self.spent()
        told = [f"{one.step:.2g} s" for one in (speeds.search, speeds.train) if one is not None]
        print(f"  {rung.side} x {rung.side} pixels, cells {rung.cells}: {' and '.join(told)} a step", flush=True)

    def _speeds(self, rung: Rung) -> Speeds:
        """What was timed of a rung, or what follows from the others."""
        first, timed = next(iter(self.speeds.items()))
        start = timed.start
        known = self.speeds.get(rung, Speeds(start, None, None))
        train = known.train or self._guessed(rung, lambda one: one.train, lambda one: one.train_channels)
        if known.search is not None or train is None:
            search = known.search or self._guessed(rung, lambda one: one.search, lambda one: one.search_channels)
            return Speeds(start, search, train)
        if timed.search is None or timed.train is None:
            return Speeds(start, None, train)
        # As much more than at the first rung as the training takes more, for as many numbers.
        wider = [volume(one, one.search_channels) / volume(one, one.train_channels) for one in (first, rung)]
        more = train.step / timed.train.step * wider[1] / wider[0]
        return Speeds(start, Speed(timed.search.first, timed.search.step * more), train)

    def _guessed(
        self, rung: Rung, of: Callable[[Speeds], Speed | None], channels: Callable[[Rung], int]
    ) -> Speed | None:
        """What the rungs that were timed tell of another: a line through two of them."""
        known = [(volume(one, channels(one)), of(speeds)) for one, speeds in self.speeds.items()]
        timed = sorted((size, speed) for size, speed in known if speed is not None)
        if not timed:
            return None
        size = volume(rung, channels(rung))
        (low, first), (high, last) = timed[0], timed[-1]
        if low == high:
            return Speed(first.first, first.step * (size / low) ** _CURVE)
        step = first.step + (last.step - first.step) * (size - low) / (high - low)
        return Speed(last.first, max(step, first.step * min(1.0, size / low)))
