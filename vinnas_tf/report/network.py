"""What needs the trained network itself: the channels of its layers, and the test images that it is wrong about."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from vinnas_tf.compress.units import Units, count_units
from vinnas_tf.config import DataConfig
from vinnas_tf.console import counted
from vinnas_tf.data.image_set import ImageSet, fingerprint
from vinnas_tf.data.images import SOURCES, load_test
from vinnas_tf.errors import UserError
from vinnas_tf.export.proof import reference_probabilities
from vinnas_tf.export.source import FinishedNetwork, read_finished
from vinnas_tf.report.folder import RunFolder
from vinnas_tf.report.part import Missing

_MISTAKES = 20
_LONGEST_SIDE = 96  # Pixels of a picture in the page.


@dataclass(frozen=True)
class Mistake:
    """A test image that the network is wrong about.

    Attributes:
        picture: as a data URI.
        true: name of its class.
        taken_for: name of the class that it is taken for.
        probability: of that class, and of the true one, as text.
        name: of the image in the data set.
    """

    picture: str
    true: str
    taken_for: str
    probability: tuple[str, str]
    name: str


@dataclass(frozen=True)
class Mistakes:
    """Those that the network is surest of.

    Attributes:
        shown: the surest first.
        wrong: how many images it is wrong about.
        images: how many test images there are.
    """

    shown: Sequence[Mistake]
    wrong: int
    images: int


@dataclass(frozen=True)
class NetworkView:
    """What was read off a network.

    Attributes:
        units: channels of its layers; empty where they are not known.
        mistakes: or why they can't be shown.
    """

    units: Sequence[Units]
    mistakes: Mistakes | Missing


def read_network(run: RunFolder, stage: str) -> NetworkView:
    """Reads the network of a finished stage, and has it answer the test images again, for display only."""
    units: Sequence[Units] = ()
    if stage == "compress":
        units = [Units(**one) for one in run.json(stage, "compression.json")["layers"]]
    try:
        finished = read_finished(run.path, stage)
    except UserError as error:
        return NetworkView(units, Missing(str(error)))
    unpruned = finished.source.unpruned
    if not units and unpruned is not None:
        units = count_units(unpruned, finished.source.network)
    return NetworkView(units, _mistakes(finished))


def _mistakes(finished: FinishedNetwork) -> Mistakes | Missing:
    """The test images that a network is surest and wrong about."""
    try:
        data = finished.data
        if not at_hand(data):
            return Missing(f"The images of {data.dataset} are not on this machine: TFDS_DATA_DIR names their folder.")
        test = load_test(data, counted)
    except UserError as error:
        return Missing(f"The test images can't be read: {error}")
    if fingerprint([test]) != finished.test_fingerprint:
        return Missing(f"The test images of {data.dataset} are not any more those that the figures are of.")
    return surest_mistakes(test, reference_probabilities(finished.source.network, test), finished.source.class_names)


def at_hand(data: DataConfig) -> bool:
    """Whether a data set can be read without a network."""
    if data.dataset.split(":")[0] in SOURCES:
        return True
    from vinnas_tf.data.tfds import is_prepared  # TFDS takes a second to import; other sources don't need it.

    return is_prepared(data)


def surest_mistakes(test: ImageSet, probabilities: np.ndarray, class_names: Sequence[str]) -> Mistakes:
    """The images whose wrong answers have the highest probabilities.

    Args:
        test: the images.
        probabilities: of each class, [n, classes].
        class_names: name of each class.
    """
    answers = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(answers != test.labels)
    order = wrong[np.argsort(-probabilities[wrong, answers[wrong]], kind="stable")][:_MISTAKES]
    pictures = test.read(order) if len(order) else ()
    shown = [
        Mistake(
            _data_uri(picture),
            class_names[test.labels[index]],
            class_names[answers[index]],
            (f"{probabilities[index, answers[index]]:.1%}", f"{probabilities[index, test.labels[index]]:.1%}"),
            str(test.names[index]),
        )
        for index, picture in zip(order, pictures, strict=True)
    ]
    return Mistakes(shown, len(wrong), len(test))


def _data_uri(pixels: np.ndarray) -> str:
    """A picture, uint8 [h, w, c], as PNG; a larger one is shrunk."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
