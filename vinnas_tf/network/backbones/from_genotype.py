"""A genotype's network as a backbone."""

from pathlib import Path

import keras

from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.network.backbones.parts import naming_backbone_settings
from vinnas_tf.network.build import build_network
from vinnas_tf.network.plain import plain_network


def from_genotype(
    image_shape: tuple[int, ...], classes: int, seed: int, *, file: Path, width: int, cells: str, stem: str
) -> keras.Model:
    """The network that `build_network` makes of a genotype's file, with deterministic weights and no tower.

    Args:
        image_shape: [height, width, channels] of the images.
        classes: number of classes.
        seed: of the initial weights.
        file: the genotype's (JSON).
        width: channels of the states before the first reduction.
        cells: skeleton.
        stem: what stands before the cells.

    Raises:
        ArchitectureError: the file is missing or is no genotype.
        SettingError: cells, stem, genotype and images do not fit each other.
    """
    genotype = Genotype.load(file)
    with naming_backbone_settings():
        network = build_network(
            genotype,
            cells=cells,
            channels=width,
            stem=stem,
            image_shape=image_shape,
            classes=classes,
            variational=False,
            seed=seed,
        )
    return plain_network(network)
