"""What the primitives of several edges make of one image, bare of the last normalisation: pools, and blocks in rounds.

A block is a chain of convolutions that ends in normalisation. The first blocks of all primitives are one round, the
second blocks of those that have two another. Edges are computed side by side, each on a group of channels.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from vinnas_tf import kernels
from vinnas_tf.architecture.primitives import PRIMITIVES, Block
from vinnas_tf.architecture.space import SPACES
from vinnas_tf.config import WEIGHT_SAMPLING
from vinnas_tf.kernels.private import called_not_inlined
from vinnas_tf.layers.kernel_layout import cutting, links_of, rounds
from vinnas_tf.layers.sampling import linear_map, sample_linear


class Weights(NamedTuple):
    """The weights of one round: flat means, flat log-variances and the noise's seed, None for the mean weights."""

    mean: tf.Tensor
    log_variance: tf.Tensor | None
    seed: tf.Tensor | None

    def arguments(self) -> list[tuple[tf.Tensor | None, tuple[int, ...]]]:
        """The three as `kernels.call_for_any_size` takes them."""
        return [(self.mean, ()), (self.log_variance, ()), (self.seed, (0,))]


def primitive_outputs(
    x: tf.Tensor,
    weights: list[Weights],
    of_layers: Mapping[int, tf.Tensor],
    mixing: tf.Tensor,
    shape: tf.TensorShape,
    statistics: kernels.Statistics | None,
    **kind: Any,
) -> list[tf.Tensor]:
    """The output of each primitive but zero, each of the given shape [n, h', w', edges * c].

    Args:
        x: [n, h, w, c].
        weights: those of each round.
        of_layers: the outputs of registered layers, by their place among all of them.
        mixing: [edges, K], which tells how many edges there are.
        shape: of each output, as far as it is known.
        statistics: of the normalisations between blocks; None for those of the batch.
        **kind: `stride`, name of the `space`, `estimator`.
    """
    for_any_size = kernels.convolves_groups(x.dtype)
    first, *others = weights
    if for_any_size:
        outputs = kernels.call_for_any_size(_outputs, (x, ()), *first.arguments(), (mixing, (1,)), **kind)
    else:
        outputs = _outputs(x, *first, mixing, **kind)
    for place, output in of_layers.items():
        outputs[place] = output
    for output in outputs:
        output.set_shape(shape)
    names = [name for name in SPACES[kind["space"]].primitives if name != "zero"]
    for place, of_round in enumerate(others, start=1):
        again = [names.index(name) for name in rounds(SPACES[kind["space"]], kind["stride"])[place]]
        between = [outputs[index] for index in again]
        if statistics is None:
            read = kernels.call_for_any_size(_activate, *((y, (3,)) for y in between), statistics=None)
        else:  # They are of this node alone, which has no function to share with others.
            read = _activate.python_function(*between, statistics=statistics)
        if for_any_size:
            images = [(y, ()) for y in read]
            found = kernels.call_for_any_size(
                _next_outputs, *of_round.arguments(), (mixing, (1,)), *images, place=place, **kind
            )
        else:
            for y in read:
                y.set_shape(shape)
            found = _next_outputs(*of_round, mixing, *read, place=place, **kind)
        for index, output in zip(again, found, strict=True):
            output.set_shape(shape)
            outputs[index] = output
    return outputs


# One graph function for all nodes whatever their size and the number of their edges, called rather than inlined: it is
# traced and optimised once for either stride, and not for each of the 40 nodes of a supergraph of eight cells.
@called_not_inlined
def _outputs(
    x: tf.Tensor,
    mean: tf.Tensor,
    log_variance: tf.Tensor | None,
    seed: tf.Tensor | None,
    mixing: tf.Tensor,
    *,
    stride: int,
    space: str,
    estimator: str,
) -> list[tf.Tensor]:
    """The output of each primitive but zero after its first block; `mixing` tells how many edges there are."""
    names, pre_activation = SPACES[space].primitives, SPACES[space].pre_activation
    edges, channels = kernels.sizes(mixing)[0], kernels.sizes(x)[-1]
    blocks = rounds(SPACES[space], stride)[0]
    weights = _noisy(Weights(mean, log_variance, seed), estimator)
    copies = _side_by_side(x, edges)
    whole, apart = (tf.nn.relu(x), tf.nn.relu(copies)) if pre_activation else (x, copies)
    read = {name: apart if block[0][0].depthwise else whole for name, block in blocks.items()}
    outputs = _convolve_all(read, blocks, weights, channels, edges)
    for name in names:
        if pool := PRIMITIVES[name].pool:
            pooled = kernels.max_pool(x, stride) if pool == "max" else kernels.avg_pool(x, stride)
            outputs[name] = _side_by_side(pooled, edges)
    return [outputs.get(name, copies) for name in names if name != "zero"]


# A normalisation has to know its channels, so between two rounds stands a function of its own.
@called_not_inlined
def _activate(*outputs: tf.Tensor, statistics: kernels.Statistics | None) -> list[tf.Tensor]:
    """What the next blocks read: all spaces have batch normalisation and ReLU between two blocks."""
    return [kernels.normalize_relu(y, statistics=statistics) for y in outputs]


@called_not_inlined
def _next_outputs(
    mean: tf.Tensor,
    log_variance: tf.Tensor | None,
    seed: tf.Tensor | None,
    mixing: tf.Tensor,
    *read: tf.Tensor,
    place: int,
    stride: int,
    space: str,
    estimator: str,
) -> list[tf.Tensor]:
    """The outputs of a further round, one for each image that it reads, edges side by side."""
    edges = kernels.sizes(mixing)[0]
    channels = kernels.sizes(read[0])[-1] // edges
    blocks = rounds(SPACES[space], stride)[place]
    weights = _noisy(Weights(mean, log_variance, seed), estimator)
    outputs = _convolve_all(dict(zip(blocks, read, strict=True)), blocks, weights, channels, edges)
    return [outputs[name] for name in blocks]


def _side_by_side(x: tf.Tensor, edges: kernels.Size) -> tf.Tensor:
    return tf.tile(x, tf.stack([1, 1, 1, edges]))


def _noisy(weights: Weights, estimator: str) -> Weights:
    """The weights themselves, or one draw of them where the estimator samples weights."""
    if weights.log_variance is None or estimator != WEIGHT_SAMPLING:
        return weights
    return Weights(kernels.add_noise(weights.mean, tf.exp(weights.log_variance), weights.seed), None, weights.seed)


def _convolve_all(
    read: Mapping[str, tf.Tensor],
    blocks: Mapping[str, Block],
    weights: Weights,
    channels: kernels.Size,
    edges: kernels.Size,
) -> dict[str, tf.Tensor]:
    """One round: the blocks of those primitives that have one, each from its own image.

    The first convolutions of all go together, because those that read the same tensor share its square; those of one
    dilation read the same phases. A depthwise convolution reads channels for each edge; a full one makes the outputs of
    all edges out of the channels of one.
    """
    outputs = dict(read)
    dtype = next(iter(read.values())).dtype
    cut = cutting(links_of(blocks), channels, edges)
    means = cut(tf.cast(weights.mean, dtype))
    variances = None if weights.log_variance is None else cut(tf.cast(tf.exp(weights.log_variance), dtype))
    seeds = None if weights.seed is None else kernels.split(weights.seed, len(means))
    links = [(name, depth) for name, block in blocks.items() for depth in range(len(block))]
    once = functools.cache(lambda x, period: kernels.phases(x.deref(), period))

    def phases(x: tf.Tensor, period: int) -> tuple[tf.Tensor, kernels.Map]:
        return once(x.ref(), period)

    for depth in range(max(map(len, blocks.values()))):
        here = [name for name, block in blocks.items() if depth < len(block)]
        places = [links.index((name, depth)) for name in here]
        maps = [linear_map(outputs[name], *blocks[name][depth], phases, edges) for name in here]
        sampled = sample_linear(
            [linear for linear, _ in maps],
            [read for _, read in maps],
            [means[place] for place in places],
            variances and [variances[place] for place in places],
            seeds and [seeds[place] for place in places],
        )
        outputs.update(zip(here, sampled, strict=True))
    return outputs
