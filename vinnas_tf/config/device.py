"""What computes a run."""

from dataclasses import dataclass, fields
from typing import Any, Self

from vinnas_tf.config.setting import setting
from vinnas_tf.errors import require

ALL = "all"


@dataclass(frozen=True, kw_only=True)
class DeviceConfig:
    """What computes a run, and how."""

    devices: str = setting(
        "1",
        "How many devices of this machine share the images of each step: a number, or all. They are its GPUs, or where "
        "it has none the CPUs that TensorFlow sees. A run may go on with another number.",
    )

    @classmethod
    def taken_from(cls, settings: dict[str, Any]) -> Self:
        """The settings by name that say what computes, taken out of others."""
        own = {field.name for field in fields(cls)} & settings.keys()
        return cls(**{name: settings.pop(name) for name in own})

    def __post_init__(self) -> None:
        object.__setattr__(self, "devices", str(self.devices))  # A program may give a number.
        require(
            self.devices == ALL or self.devices.isdecimal() and int(self.devices) >= 1,
            f"devices must be a number of at least 1, or {ALL}, got {self.devices!r}.",
        )
