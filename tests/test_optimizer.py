"""The optimizers of weights and architecture against their definitions in NumPy, and against Keras's own."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from vinnas_tf.config import ADAM, NESTEROV, SGD
from vinnas_tf.optimizer import ArchitectureAdam, OfPosteriors, PosteriorAdam, PosteriorSGD, make_weight_optimizer
from vinnas_tf.run.checkpoint import EpochCheckpoint
from vinnas_tf.schedule import falling_rate

NAMES = ("mean", "bias", "log_variance", "log_rate")
STEPS = 6
RATES = (0.1, 0.02)  # From the first step to the last.
SETTINGS = {"log_variance_rate": 3.0, "l2": 0.05, "global_clipnorm": 2.0}

Arrays = list[np.ndarray]


def starts() -> Arrays:
    generator = np.random.default_rng(0)
    return [generator.normal(size=shape).astype("float32") for shape in ((3, 4), (4,), (3, 4), (2,))]


def gradients() -> list[Arrays]:
    """Of every step: in some the norm of all together is under the bound, in others far above."""
    generator = np.random.default_rng(1)
    sizes = (0.1, 3.0, 0.3, 1.0, 10.0, 0.01)
    return [[size * generator.normal(size=start.shape).astype("float32") for start in starts()] for size in sizes]


def variables() -> list[keras.Variable]:
    return [keras.Variable(start, name=name) for name, start in zip(NAMES, starts(), strict=True)]


def rate() -> keras.optimizers.schedules.LearningRateSchedule:
    return falling_rate("linear", *RATES, STEPS)


def run(optimizer: keras.Optimizer, moved: list[keras.Variable], steps: Sequence[Arrays]) -> Arrays:
    optimizer.build(moved)
    step = tf.function(lambda *of_each: optimizer.apply(list(of_each), moved), autograph=False)
    for of_each in steps:
        step(*map(tf.constant, of_each))
    return [variable.numpy() for variable in moved]


def by_definition(update: Callable[[int, float, np.ndarray, dict], np.ndarray]) -> Arrays:
    """Clips, adds the decay and takes the step that `update` tells of (step, rate, gradient, state), in float64."""
    values = [start.astype(np.float64) for start in starts()]
    states: list[dict] = [{} for _ in values]
    for step, of_each in enumerate(gradients()):
        falling = RATES[0] + (RATES[1] - RATES[0]) * step / STEPS
        norm = np.sqrt(sum((np.float64(gradient) ** 2).sum() for gradient in of_each))
        for place, (name, gradient) in enumerate(zip(NAMES, of_each, strict=True)):
            logarithm = name.startswith("log_")
            total = np.float64(gradient) * min(1.0, 2.0 / norm) + (0.0 if logarithm else 0.05 * values[place])
            values[place] -= update(step, falling * (3.0 if logarithm else 1.0), total, states[place])
    return values


def momentum(_: int, rate: float, gradient: np.ndarray, state: dict) -> np.ndarray:
    state["m"] = 0.9 * state.get("m", 0.0) + gradient
    return rate * state["m"]


def nesterov(_: int, rate: float, gradient: np.ndarray, state: dict) -> np.ndarray:
    """Sutskever et al. 2013 with the weights of the look-ahead, as programs have it."""
    return 0.9 * momentum(_, rate, gradient, state) + rate * gradient


def adam(beta_1: float) -> Callable[[int, float, np.ndarray, dict], np.ndarray]:
    """Kingma and Ba 2015, algorithm 1, with epsilon where section 2 has it in the faster form, as in Keras."""

    def update(step: int, rate: float, gradient: np.ndarray, state: dict) -> np.ndarray:
        state["m"] = beta_1 * state.get("m", 0.0) + (1 - beta_1) * gradient
        state["v"] = 0.999 * state.get("v", 0.0) + 0.001 * gradient**2
        correction = np.sqrt(1 - 0.999 ** (step + 1)) / (1 - beta_1 ** (step + 1))
        return rate * correction * state["m"] / (np.sqrt(state["v"]) + 1e-7)

    return update


@pytest.mark.parametrize(
    ("make", "update"),
    [
        (PosteriorSGD, momentum),
        (lambda *a, **k: PosteriorSGD(*a, nesterov=True, **k), nesterov),
        (PosteriorAdam, adam(0.9)),
        (ArchitectureAdam, adam(0.9)),
        (lambda *a, **k: ArchitectureAdam(*a, beta_1=0.5, **k), adam(0.5)),
    ],
    ids=["sgd", "nesterov", "adam", "architecture", "architecture of beta_1 = 0.5"],
)
def test_steps_are_clipped_decayed_and_taken_as_defined(make: Callable, update: Callable) -> None:
    found = run(make(rate(), **SETTINGS), variables(), gradients())
    for name, ours, expected, start in zip(NAMES, found, by_definition(update), starts(), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5, err_msg=name)
        assert np.abs(ours - start).min() > 1e-3, name


NESTEROVS = functools.partial(PosteriorSGD, nesterov=True)


@pytest.mark.parametrize(
    ("kind", "schedule"),
    [
        *((kind, rate()) for kind in (PosteriorSGD, PosteriorAdam, ArchitectureAdam)),
        (NESTEROVS, falling_rate("steps", 0.1, 0.0, STEPS, marks=(3, 5))),
        (PosteriorSGD, falling_rate("restarts", *RATES, STEPS, marks=(2,))),
    ],
    ids=["sgd", "adam", "architecture", "nesterov in steps", "sgd with restarts"],
)
def test_a_training_goes_on_from_a_checkpoint_bit_for_bit(kind: Callable, schedule: object, tmp_path: Path) -> None:
    def resumable(folder: Path) -> tuple[OfPosteriors, list[keras.Variable], EpochCheckpoint]:
        optimizer, model, moved = kind(schedule, **SETTINGS), keras.Model(), variables()
        for variable in moved:
            setattr(model, variable.name, variable)
        optimizer.build(moved)
        return optimizer, moved, EpochCheckpoint(model, [optimizer], folder)

    whole = run(kind(schedule, **SETTINGS), variables(), gradients())
    optimizer, moved, checkpoint = resumable(tmp_path)
    run(optimizer, moved, gradients()[:4])
    checkpoint.save(1, [], {})
    optimizer, moved, checkpoint = resumable(tmp_path)
    assert checkpoint.restore().epochs == 1
    for ours, expected in zip(run(optimizer, moved, gradients()[4:]), whole, strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_adam_follows_kerass_own_over_many_steps() -> None:
    """With a cosine schedule, and gradients of very different sizes, a zero among them."""
    start = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
    sized = np.random.default_rng(1).normal(size=(30, 4, 5)) * np.logspace(-6, 3, 5)
    sized[:, 0] = 0
    ends = []
    for kind in (PosteriorAdam, keras.optimizers.Adam):
        variable = keras.Variable(start, name="mean")
        optimizer = kind(keras.optimizers.schedules.CosineDecay(0.1, 30))
        run(optimizer, [variable], [[gradient.astype("float32")] for gradient in sized])
        ends.append([variable.numpy(), *(state.numpy() for state in optimizer.variables)])
    assert np.abs(ends[0][0] - start)[1:].min() > 0.01
    for ours, theirs in zip(*ends, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-12)


def test_without_decay_an_architectures_adam_is_kerass_bit_for_bit() -> None:
    ours, theirs = (
        run(kind(0.05), variables(), 20 * gradients()) for kind in (ArchitectureAdam, keras.optimizers.Adam)
    )
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_settings_name_the_optimizer() -> None:
    made = {
        kind: make_weight_optimizer(kind, 0.1, log_variance_rate=2.0, weight_decay=3e-4, clip_norm=clip)
        for kind, clip in ((ADAM, 0.0), (SGD, 5.0), (NESTEROV, 5.0))
    }
    assert isinstance(made[ADAM], PosteriorAdam)
    assert isinstance(made[SGD], PosteriorSGD)
    assert [made[kind].momentum for kind in (SGD, NESTEROV)] == [0.9, 0.9]
    assert [made[kind].nesterov for kind in (SGD, NESTEROV)] == [False, True]
    assert [optimizer.global_clipnorm for optimizer in made.values()] == [None, 5.0, 5.0]
    assert {(optimizer.log_variance_rate, optimizer.l2) for optimizer in made.values()} == {(2.0, 3e-4)}
    for kind in (SGD, NESTEROV):
        again = PosteriorSGD.from_config(made[kind].get_config())
        assert (again.momentum, again.l2, again.log_variance_rate, again.global_clipnorm) == (0.9, 3e-4, 2.0, 5.0)
        assert again.nesterov == (kind == NESTEROV)


@pytest.mark.parametrize("kind", [SGD, NESTEROV, ADAM])
def test_the_direction_is_where_an_unclipped_step_without_adams_moments_would_go(kind: str) -> None:
    """Of SGD it is the next step itself; nothing moves by asking."""
    optimizer = make_weight_optimizer(kind, 0.1, log_variance_rate=1.0, weight_decay=0.05, clip_norm=0.0)
    moved = variables()
    run(optimizer, moved, gradients()[:3])
    before = [variable.numpy() for variable in moved]
    latest = gradients()[3]
    found = [part.numpy() for part in optimizer.direction([tf.constant(part) for part in latest], moved)]
    for variable, start in zip(moved, before, strict=True):
        np.testing.assert_array_equal(variable, start)
    if kind != ADAM:
        run(optimizer, moved, [latest])
        expected = [(start - variable.numpy()) / 0.1 for start, variable in zip(before, moved, strict=True)]
    else:
        decays = (0.05, 0.05, 0.0, 0.0)
        expected = [part + decay * start for part, decay, start in zip(latest, decays, before, strict=True)]
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
