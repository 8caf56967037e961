"""The skeleton that supergraph and network share: which cells follow each other, and how wide they are."""

from dataclasses import dataclass

from vinnas_tf.architecture.pyramid import FIRST_CHANNELS, pyramid_widths
from vinnas_tf.architecture.space import VINNAS, SearchSpace
from vinnas_tf.architecture.stem import PLAIN, Stem
from vinnas_tf.errors import require

CELL_TYPE_OF = {"N": "normal", "R": "reduction"}


@dataclass(frozen=True)
class CellGroup:
    """Cells that share one architecture.

    Attributes:
        name: such as "normal".
        positions: of the cells in the skeleton, from 0.
        edges: (source, target) of each edge of the cell, in the order of all arrays [edges, K].
        primitives: names of the K candidate operations of an edge.
    """

    name: str
    positions: tuple[int, ...]
    edges: tuple[tuple[int, int], ...]
    primitives: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """[edges, K]."""
        return len(self.edges), len(self.primitives)


@dataclass(frozen=True)
class CellPlace:
    """A cell's place in the skeleton.

    Attributes:
        position: from 0.
        group: name of the cell group, such as "normal", or "block_0" in a pyramid.
        channels: of each of its states.
        stride_first: stride of the preprocessing of its first input, 2 where the first input is twice as large as the
            second.
        reduction: whether the cell halves its images.
    """

    position: int
    group: str
    channels: int
    stride_first: int
    reduction: bool


def cell_places(cells: str, channels: int, stem: Stem = PLAIN, space: SearchSpace = VINNAS) -> list[CellPlace]:
    """The cells of a skeleton such as "NNRNNRNN" behind a stem.

    Args:
        cells: the skeleton.
        channels: of the states before the first reduction, which each reduction doubles; in a pyramid how many all
            cells together add to the stem's.
        stem: what stands before the cells.
        space: the search space.
    """
    widths = pyramid_widths(len(cells), channels) if space.pyramid else _doubled(cells, channels)
    strides = [stem.stride_first, *(2 if letter == "R" else 1 for letter in cells)]
    return [
        CellPlace(position, _group(space, position, letter), widths[position], strides[position], letter == "R")
        for position, letter in enumerate(cells)
    ]


def stem_channels(channels: int, space: SearchSpace) -> int:
    """The channels that a stem's width is a multiple of, with those that `cell_places` takes."""
    return FIRST_CHANNELS if space.pyramid else channels


def require_stem_of(space: SearchSpace, stem: str) -> None:
    """Raises SettingError where the skeleton of a space has another stem than the one of this name."""
    require(
        stem == PLAIN.name or not space.pyramid,
        f"space={space.name} has stem={PLAIN.name} alone, got stem={stem}: leave stem out.",
    )


def searched_cells(cells: str, space: SearchSpace) -> dict[str, tuple[int, ...]]:
    """The positions of the cells of each group that is searched, groups in the order of the space's cell types."""
    groups = [_group(space, position, letter) for position, letter in enumerate(cells)]
    searched = groups if space.pyramid else [name for name in space.cell_types if name in groups]
    return {name: tuple(place for place, group in enumerate(groups) if group == name) for name in searched}


def _group(space: SearchSpace, position: int, letter: str) -> str:
    return f"block_{position}" if space.pyramid else CELL_TYPE_OF[letter]


def _doubled(cells: str, channels: int) -> list[int]:
    return [channels * 2 ** cells[: position + 1].count("R") for position in range(len(cells))]


def cell_groups(
    cells: str, space: SearchSpace, states: int, primitives: tuple[str, ...] | None = None
) -> dict[str, CellGroup]:
    """The groups of searched cells of a skeleton, by name, in the order of `searched_cells`.

    Args:
        cells: the skeleton.
        space: the search space.
        states: number of states of a cell.
        primitives: the candidate operations of an edge, some or all of the space's; None: all.
    """
    return {
        name: CellGroup(name, places, space.edges(states), primitives or space.primitives)
        for name, places in searched_cells(cells, space).items()
    }


def require_fit(cells: str, side: int, stem: Stem = PLAIN) -> None:
    """Raises SettingError where `side` pixels cannot be halved by the stem and by every reduction cell."""
    reductions = cells.count("R")
    halvings = reductions + stem.stride.bit_length() - 1
    halve = f"cells={cells} halves images {reductions} times"
    if stem.stride > 1:
        halve = f"stem={stem.name} and cells={cells} halve images {halvings} times"
    require(
        side >= 2**halvings,
        f"{halve}, which {side} pixels do not allow: use fewer R, or larger images with image_size.",
    )
