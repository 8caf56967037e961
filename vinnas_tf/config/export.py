"""What is exported, and which exported file is checked."""

from dataclasses import dataclass

from vinnas_tf.config.setting import PathText, setting
from vinnas_tf.errors import require

EXPORT_FORMATS = ("saved_model", "tflite", "onnx")


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """What a trained network is exported to."""

    formats: tuple[str, ...] = setting(
        ("saved_model", "tflite"),
        "Formats to write, any of: " + ", ".join(EXPORT_FORMATS) + "; onnx needs the packages of the extra `onnx`.",
    )
    dataset: str = setting(
        "",
        "Where the training's images lie now, such as 'folder:PATH', if they were moved; empty: where they were. They "
        "are held to the training's fingerprint.",
    )
    sparse: bool = setting(
        True,
        "Store weights sparse in SavedModel and TFLite where that is smaller. --nosparse stores all dense: a usual "
        "SavedModel, which TFLiteConverter and tf2onnx take.",
    )

    def __post_init__(self) -> None:
        unknown = sorted(set(self.formats) - set(EXPORT_FORMATS))
        require(not unknown, f"formats knows {', '.join(EXPORT_FORMATS)}; got {', '.join(unknown)}.")
        require(
            len(set(self.formats)) == len(self.formats) > 0,
            f"formats must name one format or more, each once; got {','.join(self.formats) or 'none'}.",
        )


@dataclass(frozen=True, kw_only=True)
class VerifyConfig:
    """Which exported file is checked, and against what."""

    file: PathText = setting("", "The exported file, or a SavedModel's version folder; may be given without --file=.")
    dataset: str = setting(
        "",
        "Images to check it on: the training's data set, or 'folder:PATH' with pictures of its classes, new ones too; "
        "empty: the training's, by the manifest beside the file.",
    )
    data_dir: PathText = setting("", "TFDS data folder; empty: the training's, else TFDS_DATA_DIR.")
    image_size: int = setting(0, "Pixels a side, for a file without a manifest; 0: the file's.")
    network: PathText = setting(
        "", "Keras network to compare with; empty: train/network.keras of the run folder that FILE lies in, if any."
    )
