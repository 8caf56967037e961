"""Command lines: settings dataclasses read from absl flags and presets. Imported as `vinnas_tf.flags`."""

from vinnas_tf.flags.define import Inherited, Settings, preset_names, read_flags, run_cli

__all__ = ["Inherited", "Settings", "preset_names", "read_flags", "run_cli"]
