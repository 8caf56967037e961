"""Command lines: settings dataclasses read from absl flags and presets. Imported as `vinnas_tf.flags`."""

from vinnas_tf.flags.command import run_cli
from vinnas_tf.flags.define import Inherited, Settings, given_flags, preset_names, read_flags
from vinnas_tf.flags.help import docstring

__all__ = [
    "Inherited", "Settings", "docstring", "given_flags", "preset_names", "read_flags", "run_cli",
]  # fmt: skip
