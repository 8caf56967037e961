"""The supergraph as one would write it plainly in PyTorch: one module per operation, NCHW.

It shares with `vinnas_tf.supergraph` only plain data (settings, the table of primitives, the list of edges), so that it
serves as a check of the numbers as well as of the speed. Two things follow TensorFlow on purpose: "same" padding, and
the epsilon of batch normalisation.
"""

import math
from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from vinnas_tf.architecture.primitives import PRIMITIVES
from vinnas_tf.architecture.space import VINNAS
from vinnas_tf.config import SearchConfig

if TYPE_CHECKING:  # A process that runs the peer has no TensorFlow in its memory.
    import keras
    import numpy as np

    from vinnas_tf.search.supergraph import Supergraph

VARIANCE_FLOOR = 1e-8
BATCH_NORM_EPSILON = 1e-3
_ZERO = VINNAS.primitives.index("zero")

Noise = Callable[[Tensor], Tensor]  # Standard normal noise of its argument's shape.


def same_padding(size: int, kernel_size: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Zeros before and after an axis under TensorFlow's "SAME" padding; the odd one comes after."""
    extent = (kernel_size - 1) * dilation + 1
    total = max((-(-size // stride) - 1) * stride + extent - size, 0)
    return total // 2, total - total // 2


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """The sum of KL(N(mean, exp(log_variance)) || log-uniform): Molchanov et al. 2017, eq. 14, negated."""
    ratio = mean.square() * torch.exp(-log_variance)
    saturation = 1 - 1 / (1 + math.exp(-1.8732) * ratio**1.48695)
    return (0.5 * torch.log1p(ratio) + 0.63576 * saturation).sum()


class Variational(nn.Module):
    """Gaussian weights: a layer whose output is sampled by local reparametrisation."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.mean = nn.Parameter(nn.init.xavier_uniform_(torch.empty(shape)))
        self.log_variance = nn.Parameter(torch.full(shape, -10.0))
        self.noise: Noise = torch.randn_like

    def linear(self, x: Tensor, weight: Tensor) -> Tensor:
        """The layer's map with the given weights."""
        raise NotImplementedError  # Each kind of layer has a map of its own.

    def forward(self, x: Tensor) -> Tensor:
        """A sample of the output."""
        mean = self.linear(x, self.mean)
        variance = self.linear(x.square(), self.log_variance.exp())
        return mean + torch.sqrt(variance + VARIANCE_FLOOR) * self.noise(mean)

    def kl(self) -> Tensor:
        """The sum of the weights' divergences from the prior."""
        return kl_divergence(self.mean, self.log_variance)


class VariationalConv2d(Variational):
    """Convolution with "same" padding; depthwise with `groups` equal to the channels."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: tuple[int, int],
        stride: tuple[int, int] = (1, 1),
        dilation: int = 1,
        groups: int = 1,
    ) -> None:
        super().__init__((outputs, inputs // groups, *kernel_size))
        self.kernel_size = kernel_size
        self.stride = stride
        self.dilation = dilation
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """A sample of the convolution of `x`, [n, c, h, w]."""
        (top, bottom), (left, right) = (
            same_padding(size, kernel, stride, self.dilation)
            for size, kernel, stride in zip(x.shape[2:], self.kernel_size, self.stride, strict=True)
        )
        self.padding = (top, left)
        if (top, left) != (bottom, right):  # The convolution itself pads both sides alike.
            x = functional.pad(x, (left, right, top, bottom))
            self.padding = (0, 0)
        return super().forward(x)

    def linear(self, x: Tensor, weight: Tensor) -> Tensor:
        """The convolution with `weight`."""
        return functional.conv2d(x, weight, None, self.stride, self.padding, self.dilation, self.groups)


class VariationalLinear(Variational):
    """Linear layer with a point bias."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__((outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """A sample of the output for `x`, [n, inputs]."""
        return super().forward(x) + self.bias

    def linear(self, x: Tensor, weight: Tensor) -> Tensor:
        """The product with `weight`."""
        return functional.linear(x, weight)


class Pool(nn.Module):
    """3x3 "max" or "average" pooling with "same" padding; pixels outside the image do not count."""

    def __init__(self, kind: str, stride: int) -> None:
        super().__init__()
        self.kind = kind
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """The pooled `x`, [n, c, h, w]."""
        padding = [same_padding(size, 3, self.stride)[0] for size in x.shape[2:]]
        if self.kind == "max":
            return functional.max_pool2d(x, 3, self.stride, padding, ceil_mode=True)
        return functional.avg_pool2d(x, 3, self.stride, padding, ceil_mode=True, count_include_pad=False)


def batch_norm(channels: int) -> nn.Module:
    """Batch normalisation of the search: batch statistics, no scale or shift."""
    return nn.BatchNorm2d(channels, BATCH_NORM_EPSILON, affine=False, track_running_stats=False)


def primitive(name: str, channels: int, stride: int) -> nn.Module:
    """The candidate operation `name`; an empty chain for the skip at stride 1."""
    chain: list[nn.Module] = [
        VariationalConv2d(
            channels,
            channels,
            convolution.kernel_size,
            strides,
            convolution.dilation,
            groups=channels if convolution.depthwise else 1,
        )
        for convolution, strides in VINNAS.convolutions(name, stride)
    ]
    if PRIMITIVES[name].pool:
        chain = [Pool(PRIMITIVES[name].pool, stride)]
    if name != "skip":
        chain += [batch_norm(channels), nn.ReLU()]
    return nn.Sequential(*chain)


class MixedOp(nn.Module):
    """The weighted sum of all primitives but zero."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.operations = nn.ModuleDict(
            {name: primitive(name, channels, stride) for name in VINNAS.primitives if name != "zero"}
        )

    def forward(self, x: Tensor, mixing: Tensor) -> Tensor:
        """Mixes the operations on `x` by `mixing`, [K]."""
        by_name = dict(zip(VINNAS.primitives, mixing, strict=True))
        return sum(by_name[name] * operation(x) for name, operation in self.operations.items())


class Cell(nn.Module):
    """All edges between two inputs and the states; the output is the states side by side."""

    def __init__(self, first: int, second: int, channels: int, states: int, reduction: bool, stride_first: int) -> None:
        super().__init__()
        self.first = _preprocess(first, channels, stride_first)
        self.second = _preprocess(second, channels, 1)
        self.edges = VINNAS.edges(states)
        self.operations = nn.ModuleList(
            MixedOp(channels, 2 if reduction and source < 2 else 1) for source, _ in self.edges
        )

    def forward(self, first: Tensor, second: Tensor, mixing: Tensor) -> Tensor:
        """The cell's output from those of the two cells before it and `mixing`, [edges, K]."""
        nodes = [self.first(first), self.second(second)]
        incoming: dict[int, list[Tensor]] = {}
        for (source, target), operation, weights in zip(self.edges, self.operations, mixing, strict=True):
            incoming.setdefault(target, []).append(operation(nodes[source], weights))
            if source == target - 1:  # The last edge into a state.
                nodes.append(sum(incoming[target]))
        return torch.cat(nodes[2:], dim=1)


def _preprocess(inputs: int, outputs: int, stride: int) -> nn.Module:
    return nn.Sequential(nn.ReLU(), VariationalConv2d(inputs, outputs, (1, 1), (stride, stride)), batch_norm(outputs))


class PeerSupergraph(nn.Module):
    """The supergraph for images [n, channels, h, w], with its Gaussian architecture parameters per cell type."""

    def __init__(self, config: SearchConfig, image_channels: int, classes: int) -> None:
        super().__init__()
        channels = config.channels
        self.stem = nn.Sequential(VariationalConv2d(image_channels, channels, (3, 3)), batch_norm(channels))
        self.cell_types = ["normal" if letter == "N" else "reduction" for letter in config.cells]
        self.cells = nn.ModuleList()
        first = second = channels
        reduction = False
        for cell_type in self.cell_types:
            after_reduction, reduction = reduction, cell_type == "reduction"
            channels *= 2 if reduction else 1
            self.cells.append(Cell(first, second, channels, config.states, reduction, 2 if after_reduction else 1))
            first, second = second, config.states * channels
        self.classifier = VariationalLinear(second, classes)
        shape = (len(VINNAS.edges(config.states)), len(VINNAS.primitives))
        types = dict.fromkeys(self.cell_types)
        self.alpha_mean = nn.ParameterDict({name: nn.Parameter(0.001 * torch.randn(shape)) for name in types})
        self.alpha_log_variance = nn.ParameterDict({name: nn.Parameter(torch.full(shape, -10.0)) for name in types})
        self.noise: Noise = torch.randn_like

    def forward(self, images: Tensor) -> Tensor:
        """Logits, from one sample of the architecture parameters per cell type and of each pre-activation."""
        mixing = {name: mixing_weights(self.sample_alpha(name)) for name in self.alpha_mean}
        first = second = self.stem(images)
        for cell_type, cell in zip(self.cell_types, self.cells, strict=True):
            first, second = second, cell(first, second, mixing[cell_type])
        return self.classifier(second.mean(dim=(2, 3)))

    def sample_alpha(self, cell_type: str) -> Tensor:
        """One sample of the architecture parameters of a cell type, [edges, K]."""
        mean, log_variance = self.alpha_mean[cell_type], self.alpha_log_variance[cell_type]
        return mean + torch.exp(0.5 * log_variance) * self.noise(mean)

    def variational_layers(self) -> Iterator[Variational]:
        """All layers with Gaussian weights, in the order in which they are called."""
        return (module for module in self.modules() if isinstance(module, Variational))

    def use_noise(self, noise: Noise) -> None:
        """Takes the noise from `noise`, asked in this order: alphas by cell type, then layers in the order of calls."""
        self.noise = noise
        for layer in self.variational_layers():
            layer.noise = noise


def mixing_weights(alpha: Tensor) -> Tensor:
    """softmax(alpha) over the last axis, zero limited to the mean of the others."""
    others = torch.cat([alpha[..., :_ZERO], alpha[..., _ZERO + 1 :]], dim=-1)
    zero = torch.minimum(alpha[..., _ZERO], others.mean(dim=-1)).unsqueeze(-1)
    return torch.softmax(torch.cat([alpha[..., :_ZERO], zero, alpha[..., _ZERO + 1 :]], dim=-1), dim=-1)


def to_peer(
    network: PeerSupergraph, supergraph: "Supergraph", value: Callable[["keras.Variable"], "np.ndarray"]
) -> dict[str, Tensor]:
    """What `value` gives for the supergraph's variables (themselves, or gradients) in the peer's names and layout.

    `network.load_state_dict(to_peer(network, supergraph, np.array))` makes the peer equal to `supergraph`.
    """
    state = {"classifier.bias": value(supergraph.classifier.bias)}
    for name, variable in supergraph.architecture.items():
        group, quantity = name.split("/")
        state[f"alpha_{quantity}.{group}"] = value(variable)
    names = [name for name, module in network.named_modules() if isinstance(module, Variational)]
    for part in ("mean", "log_variance"):
        kernels = [_outputs_first(value(getattr(supergraph.stem.convolutions[0], part)))]
        for cell in supergraph.cells:
            for preprocess in cell.preprocessings:
                kernels.append(_outputs_first(value(getattr(preprocess.convolution, part))))
            of_edges = [iter(operation.cut(value(getattr(operation, part)))) for operation in cell.operations]
            for source, _ in cell.edges:
                chains = [VINNAS.convolutions(name, cell.operations[source].stride) for name in VINNAS.primitives]
                for kernel, (convolution, _) in zip(next(of_edges[source]), chain(*chains), strict=True):
                    kernels.append(_outputs_first(kernel, convolution.depthwise))
        kernels.append(value(getattr(supergraph.classifier, part)).T)
        state |= {f"{name}.{part}": kernel for name, kernel in zip(names, kernels, strict=True)}
    return {name: torch.tensor(array) for name, array in state.items()}


def _outputs_first(kernel: "np.ndarray", depthwise: bool = False) -> "np.ndarray":
    """Keras's layout [height, width, inputs, outputs] (depthwise [height, width, c, 1]) to PyTorch's."""
    return kernel.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
