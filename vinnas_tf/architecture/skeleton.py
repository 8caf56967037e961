"""The skeleton that supergraph and network share: which cells follow each other, and how wide they are."""

from dataclasses import dataclass

from vinnas_tf.errors import require

CELL_TYPE_OF = {"N": "normal", "R": "reduction"}


@dataclass(frozen=True)
class CellPlace:
    """A cell's place in the skeleton.

    Attributes:
        position: from 0.
        cell_type: "normal" or "reduction".
        channels: of each of its states; a reduction cell doubles them.
        stride_first: stride of the preprocessing of its first input, 2 where the cell before the last one's output is
            twice as large as the last one's.
    """

    position: int
    cell_type: str
    channels: int
    stride_first: int

    @property
    def reduction(self) -> bool:
        """Whether the cell halves its images."""
        return self.cell_type == "reduction"


def cell_places(cells: str, channels: int) -> list[CellPlace]:
    """The cells of a skeleton such as "NNRNNRNN", whose first cells have `channels` channels a state."""
    places: list[CellPlace] = []
    for position, letter in enumerate(cells):
        cell_type = CELL_TYPE_OF[letter]
        channels *= 2 if cell_type == "reduction" else 1
        stride_first = 2 if places and places[-1].reduction else 1
        places.append(CellPlace(position, cell_type, channels, stride_first))
    return places


def require_fit(cells: str, side: int) -> None:
    """Raises SettingError where `side` pixels cannot be halved by every reduction cell."""
    reductions = cells.count("R")
    require(
        side >= 2**reductions,
        f"cells={cells} halves images {reductions} times, which {side} pixels do not allow: "
        "use fewer R, or larger images with image_size.",
    )
