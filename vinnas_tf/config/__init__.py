"""Every setting of a run, as plain validated data: a dataclass for each stage.

Each field carries its default and its help once; `vinnas_tf.flags` turns the fields into command-line flags and back,
and a run folder's `config.json` holds them resolved. A bad value raises `UserError` with one line that says what was
expected, what came, and what to do.
"""

from vinnas_tf.config.compare import CompareConfig
from vinnas_tf.config.compress import ACCURACY_LOSS, GROUPS, CompressConfig
from vinnas_tf.config.data import AUGMENTATIONS, FRAMINGS, MIDDLE, STRETCH, DataConfig, RunConfig
from vinnas_tf.config.device import ALL, DeviceConfig
from vinnas_tf.config.engine import EngineConfig
from vinnas_tf.config.export import EXPORT_FORMATS, ExportConfig, VerifyConfig
from vinnas_tf.config.pipeline import Bounds, PipelineConfig
from vinnas_tf.config.report import ReportConfig
from vinnas_tf.config.search import SELECTION_RULES, SearchConfig
from vinnas_tf.config.setting import (
    ADAM,
    COSINE,
    ESTIMATOR_HELP,
    ESTIMATORS,
    GAMMA_START_HELP,
    HEADINGS,
    LINEAR,
    LOCAL_REPARAMETRIZATION,
    NESTEROV,
    OPTIMIZERS,
    RESTARTS,
    SCHEDULES,
    SGD,
    STEM_HELP,
    STEPS,
    WEIGHT_SAMPLING,
    PathText,
    Variants,
    require_counts,
    require_epoch,
    require_estimator,
    require_not_negative,
    require_positive,
    require_seed,
    require_share,
    require_skeleton,
    require_stem,
    require_stem_stride,
    restored,
    setting,
)
from vinnas_tf.config.train import CLASS_WEIGHTS, NO_CLASS_WEIGHTS, TrainConfig

__all__ = [
    "ACCURACY_LOSS",
    "ADAM",
    "ALL",
    "AUGMENTATIONS",
    "Bounds",
    "CLASS_WEIGHTS",
    "COSINE",
    "CompareConfig",
    "CompressConfig",
    "DataConfig",
    "DeviceConfig",
    "ESTIMATORS",
    "ESTIMATOR_HELP",
    "EXPORT_FORMATS",
    "EngineConfig",
    "ExportConfig",
    "FRAMINGS",
    "GAMMA_START_HELP",
    "GROUPS",
    "HEADINGS",
    "LINEAR",
    "LOCAL_REPARAMETRIZATION",
    "MIDDLE",
    "NESTEROV",
    "NO_CLASS_WEIGHTS",
    "OPTIMIZERS",
    "PipelineConfig",
    "PathText",
    "RESTARTS",
    "ReportConfig",
    "RunConfig",
    "SCHEDULES",
    "SELECTION_RULES",
    "SGD",
    "STEM_HELP",
    "STEPS",
    "STRETCH",
    "SearchConfig",
    "TrainConfig",
    "Variants",
    "VerifyConfig",
    "WEIGHT_SAMPLING",
    "require_counts",
    "require_epoch",
    "require_estimator",
    "require_not_negative",
    "require_positive",
    "require_seed",
    "require_share",
    "require_skeleton",
    "require_stem",
    "require_stem_stride",
    "restored",
    "setting",
]
