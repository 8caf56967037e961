"""Learning rates against their formulas in NumPy, and against Keras's own warm-up."""

import keras
import numpy as np
import pytest

from vinnas_tf.config import COSINE, LINEAR
from vinnas_tf.schedule import falling_rate

FIRST, LAST, STEPS, RISE = 0.4, 0.1, 40, 8


@pytest.mark.parametrize("rise", [0, RISE])
@pytest.mark.parametrize("shape", [COSINE, LINEAR])
def test_a_rate_rises_and_then_falls_along_its_formula(shape: str, rise: int) -> None:
    schedule = falling_rate(shape, FIRST, LAST, STEPS, warm_up_steps=rise)
    found = [float(schedule(step)) for step in range(STEPS + 3)]  # Beyond the end it stays.
    part = np.minimum((np.arange(rise, STEPS + 3) - rise) / (STEPS - rise), 1)
    share = {"cosine": (1 + np.cos(np.pi * part)) / 2, "linear": 1 - part}[shape]
    rising = FIRST * np.arange(rise) / max(rise, 1)
    np.testing.assert_allclose(found, [*rising, *(LAST + (FIRST - LAST) * share)], rtol=1e-5, atol=1e-7)
    assert max(found) == pytest.approx(FIRST)
    assert found[-1] == pytest.approx(LAST)


@pytest.mark.parametrize("rise", [0, RISE])
def test_a_rate_falls_to_a_tenth_at_each_mark(rise: int) -> None:
    schedule = falling_rate("steps", FIRST, 0.0, STEPS, warm_up_steps=rise, marks=(10, 11, 30))
    found = [float(schedule(step)) for step in range(STEPS + 3)]
    places = np.arange(STEPS + 3)
    expected = FIRST * 0.1 ** np.sum([places >= mark for mark in (10, 11, 30)], axis=0)
    expected[:rise] = FIRST * np.arange(rise) / max(rise, 1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize(("period", "steps"), [(3, 3 * 63), (10, 45), (7, 5), (1, 31)])
@pytest.mark.parametrize("rise", [0, RISE])
def test_cosines_start_over_and_double(rise: int, period: int, steps: int) -> None:
    """Loshchilov and Hutter 2017, algorithm of section 3: T_cur is counted up to T_i, then starts at 0 with 2 T_i."""
    schedule = falling_rate("restarts", FIRST, LAST, steps + rise, warm_up_steps=rise, marks=(period,))
    found = [float(schedule(step)) for step in range(rise, rise + steps)]
    expected, place, length = [], 0, period
    for _ in range(steps):
        expected.append(LAST + (FIRST - LAST) * (1 + np.cos(np.pi * place / length)) / 2)
        place += 1
        if place == length:
            place, length = 0, 2 * length
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    if period == 3:
        assert [step for step, rate in enumerate(found) if rate == np.float32(FIRST)] == [0, 3, 9, 21, 45, 93]


def test_a_cosine_with_warm_up_is_kerass() -> None:
    ours = falling_rate("cosine", FIRST, LAST, STEPS, warm_up_steps=RISE)
    kerass = keras.optimizers.schedules.CosineDecay(
        0.0, STEPS - RISE, alpha=LAST / FIRST, warmup_target=FIRST, warmup_steps=RISE
    )
    found, expected = ([float(one(step)) for step in range(STEPS)] for one in (ours, kerass))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_default_is_kerass_cosine_bit_for_bit() -> None:
    kerass = keras.optimizers.schedules.CosineDecay(0.01, 30)
    assert [float(falling_rate("cosine", 0.01, 0.0, 30)(step)) for step in range(31)] == [
        float(kerass(step)) for step in range(31)
    ]
