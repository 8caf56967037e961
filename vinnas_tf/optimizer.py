"""The optimizers of weights, Gaussian or not, and of architecture parameters."""

import contextlib
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from vinnas_tf.config import NESTEROV, SGD
from vinnas_tf.kernels.private import adam_state, place_among

MOMENTUM = 0.9  # Of all the published recipes.
# Variables that hold the logarithm of a variance or of a rate of noise: no weight decay, and a learning rate of theirs.
LOGARITHMS = ("log_variance", "log_rate")


class OfPosteriors(keras.optimizers.Optimizer):
    """What the optimizers below share; it stands before the class whose update it changes.

    Args:
        learning_rate: rate, or schedule, of means and of everything else that is trained.
        log_variance_rate: multiple of it for variables whose name is one of LOGARITHMS.
        l2: the gradient of all other variables w gets l2 * w added, after clipping and before any moment: the weight
            decay of the published programs. (Keras's own `weight_decay` leaves the moments alone, after Loshchilov and
            Hutter 2019, which is another rule.)
        **kwargs: the class's own arguments; `global_clipnorm` clips the norm of all gradients together.
    """

    def __init__(
        self, learning_rate: object = 1e-3, *, log_variance_rate: float = 1.0, l2: float = 0.0, **kwargs: object
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.log_variance_rate = log_variance_rate
        self.l2 = l2

    def build(self, variables: list[keras.Variable]) -> None:
        """Makes the moments for `variables`, and notes which of them are logarithms."""
        self._is_logarithm = [variable.name in LOGARITHMS for variable in variables]
        super().build(variables)

    def apply(self, grads: list[tf.Tensor], trainable_variables: list[keras.Variable] | None = None) -> None:
        """One update of every variable."""
        rate = tf.convert_to_tensor(self.learning_rate)
        self._rates = (rate, rate * self.log_variance_rate)
        try:
            super().apply(grads, trainable_variables)
        finally:
            with contextlib.suppress(AttributeError):  # Replicas take turns in here.
                del self._rates  # They belong to one call, or to one graph.

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """The update of one variable inside `apply`, which has made rates of `learning_rate`."""
        is_logarithm = self._is_logarithm[place_among(self, variable)]
        if self.l2 and not is_logarithm:
            gradient += self.l2 * variable
        super().update_step(gradient, variable, self._rates[is_logarithm])

    def direction(self, gradients: Sequence[tf.Tensor], variables: Sequence[keras.Variable]) -> list[tf.Tensor]:
        """What a plain step of `variables` goes along: the gradient, with the decay, and with momentum if there is any.

        A step of length one learning rate against it is the one that DARTS's second order looks ahead by. Nothing
        moves, and nothing is clipped.
        """
        return [
            gradient + self.l2 * variable.value if self.l2 and variable.name not in LOGARITHMS else gradient
            for gradient, variable in zip(gradients, variables, strict=True)
        ]

    def get_config(self) -> dict[str, object]:
        """The class's arguments, `log_variance_rate` and `l2`."""
        return {**super().get_config(), "log_variance_rate": self.log_variance_rate, "l2": self.l2}


class _FusedAdam(keras.optimizers.Adam):
    """Keras's Adam, an operation a variable.

    Keras writes it with twenty; a supergraph has hundreds of variables, and each operation is read and optimised before
    the first step.
    """

    def apply(self, grads: list[tf.Tensor], trainable_variables: list[keras.Variable] | None = None) -> None:
        step = tf.cast(self.iterations, tf.float32) + 1.0
        self._arguments = {
            "beta1_power": tf.pow(self.beta_1, step),
            "beta2_power": tf.pow(self.beta_2, step),
            "beta1": tf.constant(self.beta_1),
            "beta2": tf.constant(self.beta_2),
            "epsilon": tf.constant(self.epsilon),
        }
        try:
            super().apply(grads, trainable_variables)
        finally:
            with contextlib.suppress(AttributeError):
                del self._arguments  # As the rates do.

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        first, second = adam_state(self, variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=first.value.handle,
            v=second.value.handle,
            grad=gradient,
            lr=learning_rate,
            **self._arguments,
        )


class _Momentum(keras.optimizers.SGD):
    """Gradient descent whose moment m = momentum * m + gradient knows no rate, and w = w - rate * m.

    Nesterov's looks ahead: w = w - rate * (gradient + momentum * m). So the published programs have it. In Keras's own
    the moment holds past rates, and lags where a schedule moves them.
    """

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        tf.raw_ops.ResourceApplyMomentum(
            var=variable.handle,
            accum=self.momentums[place_among(self, variable)].value.handle,
            lr=learning_rate,
            grad=gradient,
            momentum=tf.constant(self.momentum),
            use_nesterov=self.nesterov,
        )


class PosteriorAdam(OfPosteriors, _FusedAdam):
    """Adam that moves log-variances at a multiple of the means' learning rate, for many variables.

    Adam's step is about one learning rate whatever the gradient, while a log-variance has ten units to travel (from
    -10) and a mean a tenth of one: one rate for both starves the pruning.
    """


class ArchitectureAdam(OfPosteriors, keras.optimizers.Adam):
    """The same for the few architecture parameters, in Keras's own arithmetic, whose last bits differ."""


class PosteriorSGD(OfPosteriors, _Momentum):
    """Stochastic gradient descent with momentum that moves log-variances at a multiple of the means' learning rate.

    Unlike Adam's, its steps are as long as the gradient: a log-variance's is of the order of its share in KL(w)/N, so
    the multiple has to be far larger for it to get anywhere.
    """

    def __init__(self, learning_rate: object = 1e-2, momentum: float = MOMENTUM, **kwargs: Any) -> None:
        super().__init__(learning_rate, momentum=momentum, **kwargs)

    def direction(self, gradients: Sequence[tf.Tensor], variables: Sequence[keras.Variable]) -> list[tf.Tensor]:
        """With momentum * m added, as the published program of DARTS unrolls its step; with Nesterov's, as it steps."""
        directions = []
        for gradient, variable in zip(super().direction(gradients, variables), variables, strict=True):
            moment = gradient + self.momentum * self.momentums[place_among(self, variable.value)].value
            directions.append(gradient + self.momentum * moment if self.nesterov else moment)
        return directions


def make_weight_optimizer(
    kind: str, rate: object, *, log_variance_rate: float, weight_decay: float, clip_norm: float
) -> OfPosteriors:
    """The optimizer of a network's weights.

    Args:
        kind: one of config.OPTIMIZERS.
        rate: learning rate, or its schedule.
        log_variance_rate: multiple of it for log-variances.
        weight_decay: multiple of each weight that its gradient gets added, after clipping; log-variances get none.
        clip_norm: largest norm of all gradients together; 0 does not clip.
    """
    shared: dict[str, Any] = {
        "log_variance_rate": log_variance_rate,
        "l2": weight_decay,
        "global_clipnorm": clip_norm or None,
    }
    if kind in (SGD, NESTEROV):
        return PosteriorSGD(rate, nesterov=kind == NESTEROV, **shared)
    return PosteriorAdam(rate, **shared)
