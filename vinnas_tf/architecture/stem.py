"""The stems: what stands between the images and the first cell, as plain data for supergraph and network alike."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from vinnas_tf.errors import require


class StemConvolution(NamedTuple):
    """A 3x3 convolution of a stem; batch normalisation follows it.

    Attributes:
        width: its output channels, as a multiple of those of the first cell's states.
        stride: of both axes.
        activated: whether ReLU comes before it.
    """

    width: Fraction
    stride: int = 1
    activated: bool = False


@dataclass(frozen=True)
class Stem:
    """A chain of 3x3 convolutions.

    Attributes:
        name: what `--stem` calls it.
        convolutions: the chain; its end is what the first cell takes for the output of the cell before it.
        first: place in the chain of what the first cell takes for the output of the cell before that one.
        learns_scale: whether batch normalisation has a learnt scale and shift in the search too. Cells have none there,
            because candidate operations could rescale themselves by it, past their mixing weights (Liu et al. 2019,
            appendix A.1.1). A stem is no candidate: DARTS's stems have them.
        tower_stride: of the average pool of an auxiliary tower. With it a window of 5 x 5 pixels leaves 2 x 2 of the
            8 x 8 that CIFAR-10 has there, or of the 7 x 7 of ImageNet.
    """

    name: str
    convolutions: tuple[StemConvolution, ...]
    first: int = 0
    learns_scale: bool = False
    tower_stride: int = 3

    @property
    def stride(self) -> int:
        """How many times smaller than the images its end is."""
        return math.prod(convolution.stride for convolution in self.convolutions)

    @property
    def stride_first(self) -> int:
        """How many times larger than its end the first cell's first input is."""
        return math.prod(convolution.stride for convolution in self.convolutions[self.first + 1 :])

    @property
    def names(self) -> list[str]:
        """The name of each convolution: "stem", or "stem_0" and so on where there are several."""
        places = range(len(self.convolutions))
        return [f"stem_{place}" for place in places] if len(places) > 1 else ["stem"]

    def widths(self, channels: int) -> list[int]:
        """Output channels of each convolution, before cells of `channels` channels a state.

        Raises:
            SettingError: one would have a fraction of a channel.
        """
        multiple = math.lcm(*(convolution.width.denominator for convolution in self.convolutions))
        require(
            channels % multiple == 0, f"stem={self.name} needs channels to be a multiple of {multiple}, got {channels}."
        )
        return [int(convolution.width * channels) for convolution in self.convolutions]


PLAIN = Stem("plain", (StemConvolution(Fraction(1)),))
# Liu, Simonyan and Yang 2019, DARTS: the networks for CIFAR-10 and for ImageNet.
CIFAR = Stem("cifar", (StemConvolution(Fraction(3)),), learns_scale=True)
IMAGENET = Stem(
    "imagenet",
    (
        StemConvolution(Fraction(1, 2), stride=2),
        StemConvolution(Fraction(1), stride=2, activated=True),
        StemConvolution(Fraction(1), stride=2, activated=True),
    ),
    first=1,
    learns_scale=True,
    tower_stride=2,
)
STEMS = {stem.name: stem for stem in (PLAIN, CIFAR, IMAGENET)}
