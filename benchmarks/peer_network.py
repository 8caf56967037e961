"""The found network, and its training step, as one would write them plainly in PyTorch: eager, NCHW.

As `benchmarks.peer`, it shares only plain data with ours. Its modules bear the names of our layers.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.peer import BATCH_NORM_EPSILON, Pool, Variational, VariationalConv2d, VariationalLinear
from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.architecture.primitives import PRIMITIVES
from vinnas_tf.architecture.skeleton import cell_places
from vinnas_tf.architecture.space import VINNAS
from vinnas_tf.config import TrainConfig

MOMENTUM = 0.01  # PyTorch's is the share of the new value, Keras's 0.99 that of the old one.


class PeerNetwork(nn.Module):
    """The network for images [n, channels, h, w]: stem, cells, average pooling, classifier.

    Args:
        config: skeleton; `config.genotype` names the file of the cells.
        image_channels: channels of the images.
        classes: number of classes.
    """

    def __init__(self, config: TrainConfig, image_channels: int, classes: int) -> None:
        super().__init__()
        self.genotype = Genotype.load(config.genotype)
        self.places = cell_places(config.cells, config.channels)
        self.parts = nn.ModuleDict()
        self._add("stem", image_channels, config.channels, (3, 3), config.stem_stride)
        first = second = config.channels
        for place in self.places:
            name = f"cell_{place.position}"
            self._add(f"{name}_first", first, place.channels, (1, 1), place.stride_first)
            self._add(f"{name}_second", second, place.channels, (1, 1), 1)
            for edge in self.genotype.cells[place.group]:
                self._add_operation(_name(name, edge), edge, place.channels, place.reduction)
            first, second = second, self.genotype.states * place.channels
        self.parts["classifier"] = VariationalLinear(second, classes)

    def _add(self, name: str, inputs: int, outputs: int, kernel_size: tuple[int, int], stride: int) -> None:
        self.parts[f"{name}_conv"] = VariationalConv2d(inputs, outputs, kernel_size, (stride, stride))
        self.parts[f"{name}_bn"] = nn.BatchNorm2d(outputs, BATCH_NORM_EPSILON, MOMENTUM)

    def _add_operation(self, name: str, edge: Edge, channels: int, reduction: bool) -> None:
        stride = 2 if reduction and edge.source < 2 else 1
        chain = VINNAS.convolutions(edge.primitive, stride)
        for position, (convolution, strides) in enumerate(chain):
            groups = channels if convolution.depthwise else 1
            self.parts[f"{name}_conv_{position}"] = VariationalConv2d(
                channels, channels, convolution.kernel_size, strides, convolution.dilation, groups
            )
        pool = PRIMITIVES[edge.primitive].pool
        if pool:
            self.parts[f"{name}_pool"] = Pool(pool, stride)
        if edge.primitive != "skip":
            self.parts[f"{name}_bn"] = nn.BatchNorm2d(channels, BATCH_NORM_EPSILON, MOMENTUM)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, from one sample of each pre-activation."""
        first = second = self.parts["stem_bn"](self.parts["stem_conv"](images))
        for place in self.places:
            name = f"cell_{place.position}"
            nodes = [
                self.parts[f"{name}_{which}_bn"](self.parts[f"{name}_{which}_conv"](torch.relu(x)))
                for which, x in (("first", first), ("second", second))
            ]
            edges = self.genotype.cells[place.group]
            for state in range(2, self.genotype.states + 2):
                nodes.append(sum(self._operate(name, e, nodes[e.source]) for e in edges if e.target == state))
            first, second = second, torch.cat(nodes[2:], dim=1)
        return self.parts["classifier"](second.mean(dim=(2, 3)))

    def _operate(self, cell: str, edge: Edge, x: Tensor) -> Tensor:
        name = _name(cell, edge)
        for part in ("conv_0", "conv_1", "pool", "bn"):
            if f"{name}_{part}" in self.parts:
                x = self.parts[f"{name}_{part}"](x)
        return x if edge.primitive == "skip" else torch.relu(x)


def _name(cell: str, edge: Edge) -> str:
    return f"{cell}_{edge.source}to{edge.target}_{edge.primitive}"


class PeerTraining:
    """Training steps of a `PeerNetwork`, gamma 1 at its end value.

    Args:
        config: network, objective and learning rates.
        image_channels: channels of the images.
        classes: number of classes.
        examples: N of the objective.
    """

    def __init__(self, config: TrainConfig, image_channels: int, classes: int, examples: int) -> None:
        self.config = config
        self.examples = examples
        self.network = PeerNetwork(config, image_channels, classes)
        self.variational = [module for module in self.network.modules() if isinstance(module, Variational)]
        log_variances = [layer.log_variance for layer in self.variational]
        ids = {id(parameter) for parameter in log_variances}
        others = [parameter for parameter in self.network.parameters() if id(parameter) not in ids]
        rate = config.learning_rate
        self.optimizer = torch.optim.Adam(
            [{"params": others, "lr": rate}, {"params": log_variances, "lr": rate * config.log_variance_rate}]
        )

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy and the weights' KL term."""
        logits = self.network(images)
        cross_entropy = functional.cross_entropy(logits, labels, label_smoothing=self.config.label_smoothing)
        return cross_entropy + self.config.gamma_weights / self.examples * sum(layer.kl() for layer in self.variational)

    def step(self, images: Tensor, labels: Tensor) -> float:
        """One Adam step; returns the loss."""
        self.optimizer.zero_grad()
        loss = self.loss(images, labels)
        loss.backward()
        self.optimizer.step()
        return loss.item()
