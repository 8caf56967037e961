"""What computes a run."""

from dataclasses import dataclass, fields
from typing import Any, Self

from vinnas_tf.config.setting import setting
from vinnas_tf.errors import require

ALL = "all"
FLOAT32, MIXED_BFLOAT16 = PRECISIONS = ("float32", "mixed_bfloat16")
AUTO, ON, OFF = COMPILED = ("auto", "on", "off")
TF32, HIGHEST = FLOAT32_PRECISIONS = ("tf32", "highest")


@dataclass(frozen=True, kw_only=True)
class DeviceConfig:
    """What computes a run, and how."""

    devices: str = setting(
        "1",
        "How many devices of this machine share the images of each step: a number, or all. They are its GPUs, or where "
        "it has none the CPUs that TensorFlow sees. A run may go on with another number.",
    )

    precision: str = setting(
        FLOAT32,
        "Of the images inside the network while it learns: float32; or mixed_bfloat16, half the memory, with 8 bits of "
        "mantissa. Variables, optimizers, terms of the loss, statistics, logits and what is shipped stay float32.",
    )
    float32_precision: str = setting(
        TF32,
        "Of float32 products on GPUs that have TensorFloat-32: tf32, which keeps 10 bits of mantissa and is faster; or "
        "highest, all 23. CPUs always keep all.",
    )
    jit_compile: str = setting(
        AUTO,
        "What XLA compiles: auto, small kernels that gain by it, such as the noise; on, each step as one program, with "
        "other random numbers, for GPUs and not measured there yet; off, nothing, where XLA itself does not work.",
    )
    deterministic: bool = setting(
        False,
        "The same bits again on the same GPU, for more time: TensorFlow takes deterministic kernels, or refuses. A run "
        "on one CPU repeats bit for bit without it.",
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
        require(self.precision in PRECISIONS, f"precision must be {' or '.join(PRECISIONS)}, got {self.precision!r}.")
        require(
            self.float32_precision in FLOAT32_PRECISIONS,
            f"float32_precision must be {' or '.join(FLOAT32_PRECISIONS)}, got {self.float32_precision!r}.",
        )
        require(self.jit_compile in COMPILED, f"jit_compile must be {' or '.join(COMPILED)}, got {self.jit_compile!r}.")
        require(
            self.jit_compile != ON or self.devices == "1",
            f"jit_compile={ON} takes one device, got devices={self.devices}: leave one of them out.",
        )
