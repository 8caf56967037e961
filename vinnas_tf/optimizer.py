"""The optimizer of Gaussian weights."""

import keras
import tensorflow as tf

from vinnas_tf.kernels.private import adam_state

# What variables of logarithms are called: log-variances of weights, log-rates of dropout.
LOGARITHMS = ("log_variance", "log_rate")


class PosteriorAdam(keras.optimizers.Adam):
    """Adam that moves log-variances at a multiple of the means' learning rate.

    Adam's step is about one learning rate whatever the gradient, while a log-variance has ten units to travel (from
    -10) and a mean a tenth of one: one rate for both starves the pruning.

    Args:
        learning_rate: rate, or schedule, of means and of everything else that is trained.
        log_variance_rate: multiple of it for variables with a name of LOGARITHMS.
    """

    def __init__(self, learning_rate: object = 1e-3, *, log_variance_rate: float = 1.0, **kwargs: object) -> None:
        super().__init__(learning_rate, **kwargs)
        self.log_variance_rate = log_variance_rate

    def build(self, variables: list[keras.Variable]) -> None:
        """Makes Adam's moments for `variables`, and notes which of them are log-variances."""
        self._is_log_variance = [variable.name in LOGARITHMS for variable in variables]
        super().build(variables)

    def apply(self, grads: list[tf.Tensor], trainable_variables: list[keras.Variable] | None = None) -> None:
        """One Adam update of every variable.

        As Keras's own, which writes it with twenty operations a variable; a supergraph has hundreds of variables, and
        each operation is read and optimised before the first step.
        """
        step = tf.cast(self.iterations, tf.float32) + 1.0
        rate = tf.convert_to_tensor(self.learning_rate)
        shared = {
            "beta1_power": tf.pow(self.beta_1, step),
            "beta2_power": tf.pow(self.beta_2, step),
            "beta1": tf.constant(self.beta_1),
            "beta2": tf.constant(self.beta_2),
            "epsilon": tf.constant(self.epsilon),
        }
        self._arguments = (shared | {"lr": rate}, shared | {"lr": rate * self.log_variance_rate})
        try:
            super().apply(grads, trainable_variables)
        finally:
            del self._arguments  # They belong to one call, or to one graph.

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """The update of one variable inside `apply`, which has made an argument of `learning_rate`."""
        index, first, second = adam_state(self, variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=first.value.handle,
            v=second.value.handle,
            grad=gradient,
            **self._arguments[self._is_log_variance[index]],
        )

    def get_config(self) -> dict[str, object]:
        """Adam's arguments and `log_variance_rate`."""
        return {**super().get_config(), "log_variance_rate": self.log_variance_rate}
