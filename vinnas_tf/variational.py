"""The mathematics of variational dropout: pure functions of tensors, no layers, no state.

A weight (or an architecture parameter) has the posterior N(mean, exp(log_variance)) under the log-uniform prior
p(w) ~ 1/|w|. lambda = variance / mean^2 is its noise ratio.
"""

import keras
import tensorflow as tf

INITIAL_LOG_VARIANCE = -10.0  # VINNAS, section V: "We initialise all the log-variances to -10"
PRUNING_THRESHOLD = 3.0  # VINNAS, section V-B: weights with log lambda >= 3 are pruned

# Constants of Molchanov et al. 2017 (Variational Dropout Sparsifies Deep Neural Networks), eq. 14.
_K1, _K2, _K3 = 0.63576, 1.8732, 1.48695
_SMALLEST_RATIO = 1e-30  # keeps the gradient of the logarithm finite where the mean is 0; the sigmoid is 0 there


def log_noise_ratio(mean: tf.Tensor, log_variance: tf.Tensor) -> tf.Tensor:
    """log lambda = log_variance - log(mean^2), elementwise; +inf where the mean is exactly 0."""
    return log_variance - 2.0 * tf.math.log(tf.abs(mean))


def kl_divergence(mean: tf.Tensor, log_variance: tf.Tensor) -> tf.Tensor:
    """KL(N(mean, exp(log_variance)) || log-uniform), elementwise, up to the constant that makes it 0 at lambda = inf.

    Molchanov et al. 2017, eq. 14, negated: at least 0, and within 0.0094 of the integral (worst at log lambda = -3.5).
    Written in r = 1 / lambda = mean^2 / variance, so that value and gradient are finite (both 0) at mean = 0.
    """
    r = tf.square(mean) * tf.exp(-log_variance)
    return 0.5 * tf.math.log1p(r) + _K1 * tf.sigmoid(_K3 * tf.math.log(r + _SMALLEST_RATIO) - _K2)


def clip_zero(alpha: tf.Tensor, zero_index: int) -> tf.Tensor:
    """Limits the strength of the zero primitive to the mean of the others (VINNAS, section V-A).

    Args:
        alpha: [..., K] architecture strengths before the softmax.
        zero_index: position of zero among the K primitives.
    """
    others = tf.concat([alpha[..., :zero_index], alpha[..., zero_index + 1 :]], axis=-1)
    cap = tf.reduce_mean(others, axis=-1, keepdims=True)
    is_zero = tf.one_hot(zero_index, alpha.shape[-1], on_value=True, off_value=False, dtype=tf.bool)
    return tf.where(is_zero, tf.minimum(alpha, cap), alpha)


def entropy(probabilities: tf.Tensor) -> tf.Tensor:
    """Shannon entropy, in nats, of the distributions along the last axis: [..., K] to [...]."""
    return -tf.reduce_sum(tf.math.xlogy(probabilities, probabilities), axis=-1)


class PosteriorAdam(keras.optimizers.Adam):
    """Adam that moves log-variances at a multiple of the means' learning rate.

    Adam's step is about one learning rate whatever the gradient, while a log-variance has ten units to travel (from
    -10) and a mean a tenth of one: one rate for both starves the pruning.

    Args:
        learning_rate: rate, or schedule, of means and of everything else that is trained.
        log_variance_rate: multiple of it for variables named `log_variance`.
    """

    def __init__(self, learning_rate: object = 1e-3, *, log_variance_rate: float = 1.0, **kwargs: object) -> None:
        super().__init__(learning_rate, **kwargs)
        self.log_variance_rate = log_variance_rate

    def build(self, variables: list[keras.Variable]) -> None:
        """Makes Adam's moments for `variables`, and notes which of them are log-variances."""
        self._is_log_variance = [variable.name == "log_variance" for variable in variables]
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
        index = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            grad=gradient,
            **self._arguments[self._is_log_variance[index]],
        )

    def get_config(self) -> dict[str, object]:
        """Adam's arguments and `log_variance_rate`."""
        return {**super().get_config(), "log_variance_rate": self.log_variance_rate}
