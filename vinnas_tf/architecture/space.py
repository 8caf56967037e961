"""The search spaces: which operations a cell chooses from, how its nodes hang together, and what a choice may be."""

from dataclasses import dataclass
from typing import NamedTuple

from vinnas_tf.architecture.primitives import PRIMITIVES, Block, Convolution
from vinnas_tf.errors import require

MOST_STATES = 64  # Of a cell. DARTS has 4; a file that says more is damaged, or meant to cost time and memory.


class Choice(NamedTuple):
    """What a found cell keeps; None stands for any number."""

    edges_per_state: int | None
    operations_per_edge: int | None


@dataclass(frozen=True)
class SearchSpace:
    """What a cell of the supergraph is made of.

    Attributes:
        name: what `--space` calls it.
        primitives: names of an edge's candidate operations, keys of PRIMITIVES, in the order of its mixing weights.
        inputs: nodes that are given to a cell, the outputs of that many cells before it; states count on from there.
        states: the only number of states that a cell may have; None allows any.
        choice: edges that a found cell keeps into each state, and operations other than zero on each of them.
        concatenates: whether a cell's output is all its states, joined along the channels, or the last one.
        trees: whether the states are the nodes of binary trees instead, one below each input, of which each state reads
            its parent alone, and the output is the sum of their leaves.
        preprocesses: whether a cell's inputs are brought to its width by 1x1 convolutions.
        pre_activation: whether ReLU comes before a chain of convolutions, batch normalisation after it, and pools are
            bare; else chains and pools are followed by batch normalisation and ReLU.
        reduces: whether the letter R is a cell of mixed operations, or a fixed residual block.
        normalizes_pools: whether pools are normalised in the search even so; the found network has them bare.
        activates_output: whether batch normalisation and ReLU follow the last cell.
        factorizes: whether a skip of stride 2, and the preprocessing of a first input that is twice as large as the
            second, is DARTS's factorised reduction, or one strided 1x1 convolution.
        pyramid: whether each cell has an architecture of its own, and stands in a bottleneck block of PyramidNet, which
            gives it as many images of grouped 3x3 convolutions as it has inputs. In the found network a chain of
            convolutions follows batch normalisation and ReLU. In the search batch normalisation follows it even so,
            or a kernel could grow as its switch shrinks.
    """

    name: str
    primitives: tuple[str, ...]
    inputs: int
    states: int | None
    choice: Choice
    concatenates: bool
    preprocesses: bool
    pre_activation: bool
    reduces: bool
    normalizes_pools: bool = False
    activates_output: bool = False
    factorizes: bool = False
    trees: bool = False
    pyramid: bool = False

    @property
    def cell_types(self) -> tuple[str, ...]:
        """The kinds of cells that are searched, where cells of a kind share their architecture."""
        return ("normal", "reduction") if self.reduces else ("normal",)

    def edges(self, states: int) -> tuple[tuple[int, int], ...]:
        """The (source, target) pairs of a cell of the supergraph, by target: (0, 2), (1, 2), (0, 3), ... in VINNAS."""
        nodes = range(self.inputs, self.inputs + states)
        if self.trees:
            return tuple(((target - self.inputs) // 2, target) for target in nodes)
        return tuple((source, target) for target in nodes for source in range(target))

    def outputs(self, states: int) -> tuple[int, ...]:
        """The states that a cell's output is made of."""
        nodes = tuple(range(self.inputs, self.inputs + states))
        if self.trees:
            return tuple(node for node in nodes if node not in {source for source, _ in self.edges(states)})
        return nodes if self.concatenates else nodes[-1:]

    def blocks(self, primitive: str, stride: int) -> tuple[Block, ...]:
        """The chains of convolutions of a primitive that shrinks an image by `stride`; each ends in normalisation.

        A skip cannot change the size of an image: at stride 2 it is a convolution (VINNAS, as in DARTS).
        """
        if primitive == "skip" and stride > 1:
            return (((self.pointwise(stride), (stride, stride)),),)
        return PRIMITIVES[primitive].blocks(stride)

    def pointwise(self, stride: int) -> Convolution:
        """The 1x1 convolution of a strided skip and of preprocessing."""
        return Convolution((1, 1), factorized=self.factorizes and stride > 1)

    def convolutions(self, primitive: str, stride: int) -> Block:
        """The convolutions of all blocks, one after the other, each with its strides."""
        return tuple(link for block in self.blocks(primitive, stride) for link in block)

    def normalizes(self, primitive: str, stride: int) -> bool:
        """Whether the search normalises the output of a primitive, other than zero, at this stride."""
        if not self.pre_activation:
            return primitive != "skip"
        return bool(self.blocks(primitive, stride)) or self.normalizes_pools and bool(PRIMITIVES[primitive].pool)

    def learns(self, primitive: str, stride: int) -> bool:
        """Whether a primitive has weights at this stride; a registered layer is taken to have some."""
        return bool(self.blocks(primitive, stride)) or PRIMITIVES[primitive].layer is not None

    def node_name(self, node: int) -> str:
        """What a person reads for a node of a cell."""
        if node >= self.inputs:
            return f"state {node}"
        if self.trees:
            return f"root {node}"
        return "input" if self.inputs == 1 else ("c-2", "c-1")[node]


# VINNAS, section V-A, with the paper's order of operations: "Each state always accepts 2 inputs processed through 2
# operations."
VINNAS = SearchSpace(
    name="vinnas",
    primitives=(
        "sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7", "dil_conv_3x3", "dil_conv_5x5", "conv_7x1_1x7",
        "max_pool_3x3", "avg_pool_3x3", "skip", "zero",
    ),
    inputs=2,
    states=None,
    choice=Choice(edges_per_state=2, operations_per_edge=1),
    concatenates=True,
    preprocesses=True,
    pre_activation=False,
    reduces=True,
)  # fmt: skip
# Dong and Yang 2020, NAS-Bench-201, section 2.1 and figure 1: four nodes, of which three are states.
NASBENCH201 = SearchSpace(
    name="nasbench201",
    primitives=("zero", "skip", "conv_1x1", "conv_3x3", "avg_pool_3x3"),
    inputs=1,
    states=3,
    choice=Choice(edges_per_state=None, operations_per_edge=1),
    concatenates=False,
    preprocesses=False,
    pre_activation=True,
    reduces=False,
    activates_output=True,
)
# Liu, Simonyan and Yang 2019, DARTS, section 3.1: "the ReLU-Conv-BN order", each separable convolution "always applied
# twice". DARTS keeps two edges into a state; a genotype may have any number.
DARTS = SearchSpace(
    name="darts",
    primitives=(
        "zero", "max_pool_3x3", "avg_pool_3x3", "skip", "double_sep_conv_3x3", "double_sep_conv_5x5", "dil_conv_3x3",
        "dil_conv_5x5",
    ),
    inputs=2,
    states=None,
    choice=Choice(edges_per_state=2, operations_per_edge=1),
    concatenates=True,
    preprocesses=True,
    pre_activation=True,
    reduces=True,
    normalizes_pools=True,
    factorizes=True,
)  # fmt: skip
# Cai et al. 2018, Path-level network transformation, section 4.1: trees of a depth of 3 and two branches, whose first
# edges are grouped 3x3 convolutions, in PyramidNet. Zhou et al. 2019, BayesNAS, section 6.2, search in them, and keep
# any number of operations; a draw of a tree has one on each edge.
TREE_PYRAMID = SearchSpace(
    name="tree_pyramid",
    primitives=(
        "conv_1x1", "sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7", "avg_pool_3x3", "max_pool_3x3", "skip",
    ),
    inputs=2,
    states=12,
    choice=Choice(edges_per_state=1, operations_per_edge=1),
    concatenates=False,
    preprocesses=False,
    pre_activation=True,
    reduces=True,
    activates_output=True,
    trees=True,
    pyramid=True,
)  # fmt: skip
SPACES = {space.name: space for space in (VINNAS, NASBENCH201, DARTS, TREE_PYRAMID)}


def register_space(space: SearchSpace) -> None:
    """Makes a search space known to `space=NAME` of searches, trainings and genotypes.

    Raises:
        SettingError: its name is taken, it has a primitive that is not registered, or none with a convolution, or it
            factorises without `pre_activation`, though a factorised reduction starts with ReLU.

    Example:
        >>> import dataclasses
        >>> register_space(dataclasses.replace(VINNAS, name="small", primitives=("sep_conv_3x3", "skip", "zero")))
        >>> SPACES.pop("small").primitives
        ('sep_conv_3x3', 'skip', 'zero')
    """
    require(space.name not in SPACES, f"the space {space.name} is registered already: choose another name.")
    unknown = [name for name in space.primitives if name not in PRIMITIVES]
    require(not unknown, f"{', '.join(unknown)}: no such primitives; register them first with register_primitive.")
    convolves = any(PRIMITIVES[name].convolutions for name in space.primitives)
    require(convolves, f"the space {space.name} has no primitive with a convolution: give it one.")
    require(
        space.pre_activation or not space.factorizes,
        f"the space {space.name} has factorizes=True, where ReLU comes first: set pre_activation=True too.",
    )
    SPACES[space.name] = space
