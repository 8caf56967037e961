"""Which images an exported file is checked on: those of its data set's test part, or new pictures of its classes."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from vinnas_tf.config import DataConfig, VerifyConfig
from vinnas_tf.console import counted
from vinnas_tf.data import record as image_record
from vinnas_tf.data.folder import open_pictures
from vinnas_tf.data.image_set import ImageSet, fingerprint
from vinnas_tf.data.images import load_part, load_test, load_train, open_source
from vinnas_tf.data.picture import Preparation
from vinnas_tf.errors import FileError, require
from vinnas_tf.export.interface import Interface
from vinnas_tf.run.files import user_path
from vinnas_tf.run.outputs import finished_file, network_stage

_UNKNOWN = "The export was made from Python: it can't be told whether the network learnt from these images."


def images_to_check(
    path: Path, shape: tuple[int, ...] | None, config: VerifyConfig, interface: Interface
) -> tuple[ImageSet, list[str]]:
    """The images that `config` names, as the file takes them, and what a person should know about them.

    Args:
        path: of the file, absolute.
        shape: [height, width, channels] that the file takes, where it tells.
        config: names the images; what it leaves out is that of the training, by the export's manifest.
        interface: what lies beside the file.

    Raises:
        FileError: they are of another data set, of other classes or of another size than the file is for, or it
            learnt from all of them.
    """
    if interface.preparation:
        shape = interface.preparation.shape
    require(
        shape is None or config.image_size in (0, *shape[:2]),
        f"{path.name} takes images of {' x '.join(map(str, shape or ()))} (height x width x channels), and "
        f"--image_size={config.image_size} is another size: leave it out, pictures are brought to the file's.",
        FileError,
    )
    described = interface.manifest
    if described is None:
        require(
            bool(config.dataset),
            f"no manifest lies beside {path}, to tell its images: name them with --dataset.",
            FileError,
        )
        return _without_manifest(shape, config, interface.class_names)
    dataset = config.dataset or described.get("dataset", "")
    require(
        bool(dataset),
        f"the manifest beside {path} names no data set: name images of its classes with --dataset.",
        FileError,
    )
    if dataset.startswith("folder:"):
        assert interface.preparation is not None  # A manifest has one.
        return _of_folder(path, dataset, interface.class_names, interface.preparation, described)
    if "run" not in described:  # An export from Python.
        images, _ = _without_manifest(shape, config, interface.class_names)
        return images, [_UNKNOWN]
    ours, theirs = (re.split("[/:]", name)[0] for name in (described["dataset"], dataset))
    require(
        ours == theirs,
        f"{path.name} is for the classes of {described['dataset']}, and {dataset} is another data set: leave --dataset "
        "out, or name a folder of pictures of its classes.",
        FileError,
    )
    settings = described["run"]["settings"]
    assert interface.preparation is not None  # A manifest has one.
    data = DataConfig(
        dataset=dataset,
        data_dir=config.data_dir or settings["data_dir"],
        image_size=settings["image_size"],
        framing=interface.preparation.framing,
    )
    source = open_source(data)
    require(
        source.class_names == interface.class_names,
        f"{dataset} has the classes {', '.join(source.class_names)}, and {path.name} has "
        f"{', '.join(interface.class_names)}.",
        FileError,
    )
    test = load_part(data, source.preparation, source.part("test"), counted)
    same = described["test"].get("fingerprint") in (None, fingerprint([test]))
    return test, [] if same else ["These are not the test images of the export: their fingerprint differs."]


def _without_manifest(
    shape: tuple[int, ...] | None, config: VerifyConfig, class_names: tuple[str, ...]
) -> tuple[ImageSet, list[str]]:
    side = config.image_size or (shape[0] if shape and config.dataset.startswith("folder:") else 0)
    data = DataConfig(dataset=config.dataset, data_dir=config.data_dir, image_size=side)
    source = open_source(data, counted)
    require(
        class_names in ((), source.class_names),
        f"{config.dataset} has the classes {', '.join(source.class_names)}, and the file has {', '.join(class_names)}.",
        FileError,
    )
    remarks = [
        "No manifest lies beside the file: it can't be told whether it learnt from these images. Whole pictures are "
        "stretched to its input."
    ]
    if not class_names:
        remarks.append("No labels do either: classes are taken in the order of their names.")
    return load_part(data, source.preparation, source.part("test"), counted), remarks


def _of_folder(
    path: Path, dataset: str, class_names: tuple[str, ...], preparation: Preparation, described: dict[str, Any]
) -> tuple[ImageSet, list[str]]:
    """All pictures of a folder that the network did not learn from, their classes matched by name."""
    folder = user_path(dataset.removeprefix("folder:"))
    part = open_pictures(folder, class_names, counted)
    images = load_part(DataConfig(dataset=dataset), preparation, part, counted)
    if "run" not in described:
        return images, [_UNKNOWN]
    run_dir = path.parent.parent.parent
    record = finished_file(run_dir, network_stage(run_dir), image_record.NAME)
    if not record.is_file():
        return _of_folder_without_record(images, dataset, preparation.framing, described)
    known = np.isin(images.digests, image_record.learnt(record))
    chosen = images.take(np.flatnonzero(~known))
    require(
        len(chosen) > 0,
        f"the network learnt from all {len(images):,} pictures of {folder}: name pictures that are new to it.",
        FileError,
    )
    tested = np.isin(chosen.digests, image_record.tested(record))
    if not known.any() and not tested.any():
        return chosen, [f"All {len(chosen):,} pictures of {folder} are new: no stage has seen them."]
    return chosen, [
        f"Of {len(images):,} pictures of {folder} the network learnt from {known.sum():,}, which are left out. Of the "
        f"others {tested.sum():,} are the training's test images and {(~tested).sum():,} are new."
    ]


def _of_folder_without_record(
    images: ImageSet, dataset: str, framing: str, described: dict[str, Any]
) -> tuple[ImageSet, list[str]]:
    """The test part of the training's own folder; of another folder all pictures."""
    settings = described["run"]["settings"]
    shares = {name: settings[name] for name in ("image_size", "data_fraction")}
    own = DataConfig(dataset=dataset, framing=framing, **shares)
    if set(np.unique(images.labels)) == set(range(len(described["class_names"]))):
        loaded = load_train(own, settings["seed"])
        if loaded.fingerprint == described["run"]["data_fingerprint"]:
            return load_test(own), ["These are the test images of the training's own folder."]
    return images, [
        f"All {len(images):,} pictures are taken, as new ones. warning: the training's record of its images "
        f"(train/{image_record.NAME}) is not there, so it can't be told whether the network learnt from some of them."
    ]
