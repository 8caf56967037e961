"""Names the classes of pictures with an exported file, as an app would: with its runtime, NumPy and Pillow alone.

    python -m vinnas_tf.export.predict runs/m/export/tflite/float32.tflite cat.jpg dog.jpg

Prints the three most probable classes of each picture. How a picture becomes the file's input, and the names of the
classes, stand in the manifest.json of its export, two folders above it; a file that left its export behind gets
pictures stretched to its input, and its classes are numbers unless labels.txt lies beside it.
"""

import os
import sys
from pathlib import Path

import numpy as np

from vinnas_tf.data.picture import Preparation, decode, prepare
from vinnas_tf.errors import FileError, UserError, require
from vinnas_tf.export.interface import read_interface, require_present, require_recorded
from vinnas_tf.export.runtime import load
from vinnas_tf.run.confined import run_confined
from vinnas_tf.run.stderr import held_back
from vinnas_tf.run.streams import open_standard_streams

_SHOWN = 3
_SECONDS, _SECONDS_A_PICTURE = 120.0, 30.0  # More than a slow machine needs; a file that never ends is ended.


def predict(file: Path, pictures: list[Path]) -> list[list[tuple[str, float]]]:
    """The classes of each picture with their probabilities, the most probable first.

    Args:
        file: a .tflite or .onnx file, or the version folder of a SavedModel.
        pictures: picture files of any format that Pillow reads.

    Raises:
        FileError: the file or a picture can't be read.
    """
    require_present(file)
    require_recorded(file.resolve())
    interface = read_interface(file.resolve())
    try:
        with held_back():  # Runtimes tell of their parts there.
            runner = load(file, threads=1)
    except (OSError, ValueError, RuntimeError) as error:
        raise FileError(f"{file} can't be run ({' '.join(str(error).split())[:200]}): export it anew.") from error
    height, width, channels = runner.image_shape
    prepared = interface.preparation or Preparation(height, width, channels)
    images = [prepare(decode(picture).pixels, prepared) for picture in pictures]
    answers = []
    for image in images:
        (probabilities,) = runner.run(image[np.newaxis])
        names = interface.class_names or tuple(f"class {index}" for index in range(len(probabilities)))
        require(
            len(names) == len(probabilities),
            f"{file} knows {len(probabilities)} classes, and {len(names)} are named beside it: export it anew.",
            FileError,
        )
        order = np.argsort(-probabilities, kind="stable")
        answers.append([(names[index], float(probabilities[index])) for index in order])
    return answers


def main(argv: list[str]) -> int:
    """The command; returns the exit code."""
    if not argv or argv[0] in ("-h", "--help", "-help"):
        print((__doc__ or "predict FILE IMAGE...").strip())
        return 0 if argv else 2
    flags = [argument for argument in argv if argument.startswith("--")]
    try:
        require(
            not flags,
            f"unknown flag {' '.join(flags)}: this command takes FILE IMAGE... and nothing else.",
        )
        require(len(argv) > 1, "name pictures: python -m vinnas_tf.export.predict FILE IMAGE...")
        pictures = [Path(argument) for argument in argv[1:]]
        missing = [str(picture) for picture in pictures if not os.path.isfile(picture)]
        require(not missing, f"{', '.join(missing[:3])}: no such picture.")
        file = Path(argv[0])
        # A model is a program: a stranger's gets a process that can write nothing.
        seconds = _SECONDS + _SECONDS_A_PICTURE * len(pictures)
        answers = run_confined(lambda: predict(file, pictures), str(file), seconds)
        for picture, answer in zip(pictures, answers, strict=True):
            print(f"{picture}: " + ", ".join(f"{name} {probability:.1%}" for name, probability in answer[:_SHOWN]))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    open_standard_streams()
    sys.exit(main(sys.argv[1:]))
