"""Command lines: settings dataclasses read from absl flags and presets. Imported as `vinnas_tf.flags`."""

from vinnas_tf.flags.define import Inherited, Settings, preset_names, read_flags, run_cli
from vinnas_tf.flags.help import docstring

__all__ = ["Inherited", "Settings", "docstring", "preset_names", "read_flags", "run_cli"]
