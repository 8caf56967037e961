"""The skeleton that supergraph and network share: which cells follow each other, and how wide they are."""

from dataclasses import dataclass

from vinnas_tf.architecture.space import SearchSpace
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
        group: name of the cell group, "normal" or "reduction".
        channels: of each of its states; a reduction cell doubles them.
        stride_first: stride of the preprocessing of its first input, 2 where the first input is twice as large as the
            second.
    """

    position: int
    group: str
    channels: int
    stride_first: int

    @property
    def reduction(self) -> bool:
        """Whether the cell halves its images."""
        return self.group == "reduction"


def cell_places(cells: str, channels: int, stem: Stem = PLAIN) -> list[CellPlace]:
    """The cells of a skeleton such as "NNRNNRNN" behind a stem, whose first cells have `channels` channels a state."""
    places: list[CellPlace] = []
    stride_first = stem.stride_first
    for position, letter in enumerate(cells):
        group = CELL_TYPE_OF[letter]
        channels *= 2 if group == "reduction" else 1
        places.append(CellPlace(position, group, channels, stride_first))
        stride_first = 2 if places[-1].reduction else 1
    return places


def cell_groups(
    cells: str, space: SearchSpace, states: int, primitives: tuple[str, ...] | None = None
) -> dict[str, CellGroup]:
    """The groups of searched cells of a skeleton, by name, in the order of the space's cell types.

    Args:
        cells: the skeleton.
        space: the search space.
        states: number of states of a cell.
        primitives: the candidate operations of an edge, some or all of the space's; None: all.
    """
    positions = {
        name: tuple(place for place, letter in enumerate(cells) if CELL_TYPE_OF[letter] == name)
        for name in space.cell_types
    }
    return {
        name: CellGroup(name, places, space.edges(states), primitives or space.primitives)
        for name, places in positions.items()
        if places
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
