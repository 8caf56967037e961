"""The alternating search step on the PyTorch peer, eager, with two Adam optimizers."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.peer import PeerSupergraph, kl_divergence, mixing_weights
from vinnas_tf.methods.vinnas import Vinnas

ENTROPY_SAMPLES = 8


class PeerSearch:
    """Algorithm 1 on the supergraph, with the gammas at their end values.

    Args:
        method: published VINNAS: skeleton, objective and learning rates.
        image_shape: [height, width, channels].
        classes: number of classes.
        examples: N of objective (8).
        needed_gradients_only: differentiates the weights in weight steps and the alphas in alpha steps only. Without
            it, `backward` fills the gradients of both, as it does unless told otherwise.
    """

    def __init__(
        self,
        method: Vinnas,
        image_shape: tuple[int, int, int],
        classes: int,
        examples: int,
        needed_gradients_only: bool = False,
    ) -> None:
        self.config, self.settings = config, settings = method.config, method.settings
        self.examples = examples
        self.needed_gradients_only = needed_gradients_only
        self.network = PeerSupergraph(config, image_shape[-1], classes)
        self.alphas: list[nn.Parameter] = [*self.network.alpha_mean.values(), *self.network.alpha_log_variance.values()]
        log_variances = [layer.log_variance for layer in self.network.variational_layers()]
        means = [layer.mean for layer in self.network.variational_layers()]
        means.append(self.network.classifier.bias)
        self.weights = [*means, *log_variances]
        rate = config.weight_learning_rate
        self.weight_optimizer = torch.optim.Adam(
            [{"params": means, "lr": rate}, {"params": log_variances, "lr": rate * settings.log_variance_rate}]
        )
        self.alpha_optimizer = torch.optim.Adam(self.alphas, lr=config.alpha_learning_rate)

    def weight_loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy and the weights' KL term."""
        divergence = sum(layer.kl() for layer in self.network.variational_layers())
        return self._cross_entropy(images, labels) + self.settings.gamma_weights / self.examples * divergence

    def alpha_loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy, the architecture parameters' KL term and the entropy of their expected mixing weights."""
        loss = self._cross_entropy(images, labels)
        network, settings = self.network, self.settings
        for name, mean in network.alpha_mean.items():
            divergence = kl_divergence(mean, network.alpha_log_variance[name])
            samples = torch.stack([network.sample_alpha(name) for _ in range(ENTROPY_SAMPLES)])
            expected = mixing_weights(samples).mean(dim=0)
            entropy = -torch.xlogy(expected, expected).sum()
            loss = loss + settings.gamma_alphas / self.examples * divergence + settings.gamma_entropy * entropy
        return loss

    def weight_step(self, images: Tensor, labels: Tensor) -> float:
        """One Adam step on the weights; returns the loss."""
        self._require_gradients(self.weights)
        self.weight_optimizer.zero_grad()
        loss = self.weight_loss(images, labels)
        loss.backward()
        self.weight_optimizer.step()
        return loss.item()

    def alpha_step(self, images: Tensor, labels: Tensor) -> float:
        """One Adam step on the architecture parameters; returns the loss."""
        self._require_gradients(self.alphas)
        self.alpha_optimizer.zero_grad()
        loss = self.alpha_loss(images, labels)
        loss.backward()
        self.alpha_optimizer.step()
        return loss.item()

    def _cross_entropy(self, images: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(self.network(images), labels, label_smoothing=self.config.label_smoothing)

    def _require_gradients(self, parameters: list[nn.Parameter]) -> None:
        if self.needed_gradients_only:
            for parameter in [*self.weights, *self.alphas]:
                parameter.requires_grad_(False)
            for parameter in parameters:
                parameter.requires_grad_(True)
