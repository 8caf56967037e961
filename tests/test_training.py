"""What a training that diverged says: what was seen, and what to do about it."""

import math

import keras
import numpy as np
import pytest

from vinnas_tf.errors import DivergenceError
from vinnas_tf.training import require_finite, suspects

RATES = ("weight_learning_rate", "alpha_learning_rate")


@pytest.mark.parametrize(
    ("weighted", "cross_entropy", "named"),
    [
        ({"gamma_alphas": 0.1}, math.nan, "weight_learning_rate or alpha_learning_rate"),
        ({"gamma_alphas": math.nan}, math.nan, "weight_learning_rate, alpha_learning_rate or gamma_alphas"),
        ({"gamma_alphas": math.inf, "gamma_weights": 0.1}, 2.3, "gamma_alphas"),
        ({"gamma_alphas": -1e9, "gamma_weights": 0.1}, 2.3, "gamma_alphas"),
    ],
)
def test_the_settings_that_may_be_to_blame_are_named(
    weighted: dict[str, float], cross_entropy: float, named: str
) -> None:
    assert suspects(RATES, weighted, cross_entropy) == named


def test_weights_that_broke_in_the_last_step_are_not_kept() -> None:
    weights = keras.Variable(np.ones(3, np.float32))
    require_finite({"loss": 1.0}, [weights], 4, "Do this.")
    weights.assign([1.0, np.inf, 1.0])
    with pytest.raises(DivergenceError, match="the weights are not finite after epoch 5; the state after epoch 4 is"):
        require_finite({"loss": 1.0}, [weights], 4, "Do this.")
