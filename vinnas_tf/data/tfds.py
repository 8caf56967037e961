"""Image-classification sets of TensorFlow Datasets (TFDS), read from disk first and downloaded only if need be."""

import difflib
import os
import re
import textwrap
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from tensorflow_datasets.core.read_only_builder import builder_from_files

from vinnas_tf.config import DataConfig
from vinnas_tf.data.picture import Preparation
from vinnas_tf.data.records import Records
from vinnas_tf.data.source import Part, PartName, Source, with_drawn_test
from vinnas_tf.errors import DataError, require
from vinnas_tf.run.files import user_path

_PROBE_SECONDS = 5.0


def open_tfds(config: DataConfig) -> Source:
    """The TFDS set `config.dataset`, such as "cifar10", "imagenette/160px-v2" or "mnist:3.0.1".

    The test part is the set's "test" split, else its "validation" split, else a fifth of each class of "train".

    Args:
        config: its `dataset` is NAME[/CONFIG][:VERSION] as TFDS spells it. Its `data_dir` is the folder of prepared
            sets, empty for TFDS_DATA_DIR, else TFDS's own default; a set that isn't there is downloaded into it.

    Raises:
        DataError: TFDS has no such set, it doesn't hold labelled images, or it is neither on disk nor within reach.
    """
    name, image_size = config.dataset, config.image_size
    builder = _prepared_builder(name, _data_dir(config))
    image_key, label_key = _image_and_label_keys(name, builder.info)
    splits = builder.info.splits
    require(
        "train" in splits,
        f"The TFDS set {name} has no training images, only {', '.join(splits)}: choose another.",
        DataError,
    )
    height, width, channels = builder.info.features[image_key].shape
    require(
        image_size > 0 or (height is not None and width is not None),
        f"The images of {name} differ in size: pass image_size=32 (or another size) to resize them all.",
        DataError,
    )
    own_test = next((split for split in ("test", "validation") if split in splits), None)

    def open_part(part: PartName) -> Part | None:
        if part == "validation":
            return None
        examples = _Examples(name, builder, own_test if part == "test" and own_test else "train", image_key, label_key)
        everything = examples.part()
        return everything if own_test else with_drawn_test(everything)(part)

    class_names = tuple(builder.info.features[label_key].names)
    preparation = Preparation(image_size or height, image_size or width, channels, framing=config.framing)
    return Source(class_names, preparation, open_part)


class _Examples:
    """The examples of one split, in the order of its files, their images not decoded."""

    def __init__(self, name: str, builder: Any, split: str, image_key: str, label_key: str) -> None:
        self.name = name
        self.split = split
        self._folder = builder.data_dir
        self._image_feature = builder.info.features[image_key]
        self._image_key = image_key
        self._label_key = label_key
        self._examples = builder.as_dataset(
            split=split,
            decoders={image_key: tfds.decode.SkipDecoding()},
            read_config=tfds.ReadConfig(try_autocache=False, add_tfds_id=True),
        )

    def part(self) -> Part:
        """All of them; raises DataError where the set doesn't tell their labels, or can't be read."""
        known = self._examples.map(lambda example: (example[self._label_key], example["tfds_id"]))
        batches = list(self._iterate(known.batch(4096)))
        labels = np.concatenate([batch for batch, _ in batches]).astype(np.int32) if batches else np.zeros(0, np.int32)
        require(
            labels.size > 0 and int(labels.min()) >= 0,
            f"The TFDS set {self.name} doesn't tell the labels of its {self.split} split: choose another set.",
            DataError,
        )
        try:
            records = Records(Path(self._folder), [one.decode() for _, ids in batches for one in ids])
        except (OSError, ValueError) as error:
            raise self._unreadable(error) from error

        def read(index: int) -> np.ndarray:
            try:
                features = tf.train.Example.FromString(records[index]).features.feature
                (encoded,) = features[self._image_key].bytes_list.value
                with tf.device("CPU:0"):
                    return self._image_feature.decode_example(encoded).numpy()
            except Exception as error:  # A record that is damaged makes TensorFlow and protobuf raise nearly anything.
                raise self._unreadable(error) from error

        return Part(labels, [f"{self.split}/{index}" for index in range(len(labels))], read)

    def _iterate(self, dataset: tf.data.Dataset) -> Iterator[Any]:
        try:
            yield from dataset.as_numpy_iterator()
        except tf.errors.OpError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> DataError:
        return DataError(
            f"The TFDS set {self.name} in {self._folder} can't be read ({_one_line(error)}): "
            "take that folder away to prepare it anew."
        )


def is_prepared(config: DataConfig) -> bool:
    """Whether the TFDS set `config.dataset` lies on this machine, so that nothing need be downloaded."""
    try:
        builder_from_files(config.dataset, data_dir=_data_dir(config))
    except Exception:  # Whatever an unknown name or a spoilt folder makes TFDS raise.
        return False
    return True


def _data_dir(config: DataConfig) -> str:
    """The folder of prepared sets."""
    return str(user_path(config.data_dir or os.environ.get("TFDS_DATA_DIR") or str(tfds.core.constants.DATA_DIR)))


def _prepared_builder(name: str, data_dir: str) -> Any:
    """The set's builder, its data on disk: found there, or else downloaded.

    TFDS tries for minutes to download without a network, so the set's own host is asked first.
    """
    valid = re.fullmatch(r"\w+(/[\w.\-]+)?(:\d+\.\d+\.\d+)?", name) is not None
    try:
        if valid:
            return builder_from_files(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError:
        pass
    except Exception as error:  # Whatever a spoilt folder makes TFDS raise.
        raise DataError(
            f"The TFDS set {name} in {data_dir} can't be read ({_one_line(error)}): take it away to prepare it anew."
        ) from error
    known = [*tfds.list_builders(with_community_datasets=False), "digits"]
    base = re.split("[/:]", name)[0]
    if not valid or base not in known:
        close = difflib.get_close_matches(base.lower(), known)
        hint = f"did you mean {', '.join(close)}?" if close else "it is 'digits', 'folder:PATH' or a TFDS set."
        raise DataError(f"dataset={name} is unknown: {hint}")
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except Exception as error:  # Each set has code of its own, with errors of its own.
        raise DataError(f"TFDS can't set up {name} ({_one_line(error)}): choose another set or version.") from error
    _image_and_label_keys(name, builder.info)  # No need to download a set of texts to tell that it is one.
    url = next(iter(builder.url_infos), None)
    require(
        builder.MANUAL_DOWNLOAD_INSTRUCTIONS is not None or url is None or _answers(url),
        f"{name} isn't in {data_dir}, and its host {urllib.parse.urlsplit(url or '').netloc} can't be reached: connect "
        "to the network, or name a folder that holds it with data_dir or TFDS_DATA_DIR.",
        DataError,
    )
    try:
        builder.download_and_prepare()
    except Exception as error:  # As above.
        raise DataError(
            f"{name} isn't in {data_dir}, and TFDS can't prepare it ({_one_line(error)}): mend that, or name a folder "
            "that holds it with data_dir or TFDS_DATA_DIR."
        ) from error
    return builder


def _answers(url: str) -> bool:
    """Whether the host of `url` (or the proxy's way to it) answers within five seconds."""
    answers = []

    def ask() -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_PROBE_SECONDS).close()
            answers.append(True)
        except urllib.error.HTTPError as error:
            answers.append(error.code not in (502, 503, 504))  # A gateway that has no way to the host says these.
        except (OSError, ValueError):
            answers.append(False)

    # In a thread because no timeout covers the look-up of a host's name.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_PROBE_SECONDS)
    return answers == [True]


def _image_and_label_keys(name: str, info: Any) -> tuple[str, str]:
    """Names of the features that hold the image and its class; `UserError` unless the set is of labelled images."""
    keys = info.supervised_keys if len(info.supervised_keys or ()) == 2 else ("image", "label")
    features = info.features if isinstance(info.features, tfds.features.FeaturesDict) else {}
    image, label = (features[key] if isinstance(key, str) and key in features else None for key in keys)
    if not isinstance(image, tfds.features.Image) or not isinstance(label, tfds.features.ClassLabel):
        raise DataError(
            f"The TFDS set {name} doesn't hold images with one class each (its features: {', '.join(features)}): "
            "choose an image-classification set."
        )
    dtype, channels = np.dtype(image.np_dtype).name, image.shape[-1]
    require(
        dtype == "uint8" and channels in (1, 3),
        f"The images of the TFDS set {name} have {channels} channels of {dtype}: choose a set with 1 or 3 of uint8.",
        DataError,
    )
    return keys


def _one_line(error: Exception) -> str:
    return textwrap.shorten(str(error), 200, placeholder=" ...") or type(error).__name__
