"""Learning rates against their formulas in NumPy, and against Keras's own warm-up."""

import keras
import numpy as np
import pytest

from vinnas_tf.config import SCHEDULES
from vinnas_tf.schedule import falling_rate

FIRST, LAST, STEPS, RISE = 0.4, 0.1, 40, 8


@pytest.mark.parametrize("rise", [0, RISE])
@pytest.mark.parametrize("shape", SCHEDULES)
def test_a_rate_rises_and_then_falls_along_its_formula(shape: str, rise: int) -> None:
    schedule = falling_rate(shape, FIRST, LAST, STEPS, warm_up_steps=rise)
    found = [float(schedule(step)) for step in range(STEPS + 3)]  # Beyond the end it stays.
    part = np.minimum((np.arange(rise, STEPS + 3) - rise) / (STEPS - rise), 1)
    share = {"cosine": (1 + np.cos(np.pi * part)) / 2, "linear": 1 - part}[shape]
    rising = FIRST * np.arange(rise) / max(rise, 1)
    np.testing.assert_allclose(found, [*rising, *(LAST + (FIRST - LAST) * share)], rtol=1e-5, atol=1e-7)
    assert max(found) == pytest.approx(FIRST)
    assert found[-1] == pytest.approx(LAST)


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
