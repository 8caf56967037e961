"""Checks one exported file again, alone: a .tflite or .onnx file, or the version folder of a SavedModel.

    python -m vinnas_tf.export.verify runs/m/export/tflite/float32.tflite
    python -m vinnas_tf.export.verify runs/m/export/tflite/float32.tflite --dataset=folder:new_pictures

The file answers all test images in a process of its own. A folder of new pictures may be named too: its classes are
matched by name, and all pictures are taken that the network did not learn from. Where the run folder's Keras network
lies beside the export, or --network names it, the answers are held against it; the exit code is 1 where the file misses
its bar (`proof.py` has the bars). Where the manifest lies beside it, the file must be the one that it describes.
"""

if __name__ == "__main__":
    import vinnas_tf.run.startup  # noqa: F401

# isort: split
import sys
import textwrap
from pathlib import Path

import numpy as np

from vinnas_tf.config import VerifyConfig
from vinnas_tf.data.image_set import ImageSet
from vinnas_tf.errors import FileError, require
from vinnas_tf.export import table
from vinnas_tf.export.checked_images import images_to_check
from vinnas_tf.export.interface import read_interface, require_present, require_recorded
from vinnas_tf.export.measure import time_calls
from vinnas_tf.export.proof import precision, prove, read_tflite, reference_probabilities
from vinnas_tf.export.source import load_network
from vinnas_tf.flags import docstring, read_flags, run_cli
from vinnas_tf.run.outputs import NETWORK, finished_file, network_stage


def main(argv: list[str]) -> None:
    """The command: reads flags, checks the file, prints a table of one row, and exits 1 where the file failed."""
    settings = read_flags(
        argv, VerifyConfig, command="verify", usage=docstring(sys.modules[__name__]), positional="file"
    )
    config = settings[VerifyConfig]
    require(bool(config.file), "name a file: python -m vinnas_tf.export.verify FILE", FileError)
    path = Path(config.file)
    require_present(path)
    path = path.resolve()
    require_recorded(path)
    kind = precision(path)
    shape = read_tflite(path).inputs[0].shape[1:] if path.suffix == ".tflite" else None
    test, remarks = images_to_check(path, shape, config, read_interface(path))
    figures = prove(path, test, _reference(path, config.network, test))
    (figures["latency"],) = time_calls([path], test.read(np.arange(1))[0])
    name = "/".join(path.parts[-2:])
    print(f"{table.LEGEND}\n{table.HEADER}\n{table.row(name, figures)}")
    sparse = figures.get("sparse_tensors", [])
    print(f"{kind}, {len(sparse)} sparse tensors, {figures['images']:,} images.")
    for line in remarks:
        print(textwrap.fill(line, 80, break_on_hyphens=False))
    if "agreement" not in figures:
        print("There was no Keras network to compare with: see --network.")
    for line in table.remarks(name, figures):
        print(line)
    if figures["failures"]:
        sys.exit(1)


def _reference(path: Path, given: str, test: ImageSet) -> np.ndarray | None:
    """Probabilities of the Keras network to compare with, if there is one."""
    network_path = Path(given)
    if not given:
        run_dir = path.parent.parent.parent
        stage = network_stage(run_dir)
        if not (run_dir / stage / NETWORK).is_file():
            return None
        network_path = finished_file(run_dir, stage, NETWORK)
    network = load_network(network_path)
    require(
        network.input.shape[1:] == test.image_shape,
        f"{network_path} takes images of {network.input.shape[1:]}, the test images are {test.image_shape}: give "
        "the --dataset and --image_size that it was trained with.",
        FileError,
    )
    return reference_probabilities(network, test)


if __name__ == "__main__":
    run_cli(main)
