"""DARTS: Liu, Simonyan and Yang 2019, DARTS: Differentiable Architecture Search."""

from dataclasses import dataclass

from vinnas_tf.config import SearchConfig, setting
from vinnas_tf.errors import require
from vinnas_tf.methods.base import Method
from vinnas_tf.methods.steps import alternating, looking_ahead


@dataclass(frozen=True, kw_only=True)
class DartsSettings:
    """What only method=darts reads."""

    darts_order: int = setting(1, "Order of DARTS's architecture gradient: 1, or 2, which looks one weight step ahead.")

    def __post_init__(self) -> None:
        require(self.darts_order in (1, 2), f"darts_order must be 1 or 2, got {self.darts_order}.")


class Darts(Method):
    """Deterministic weights and alphas, no prior; the architecture step is of first or second order.

    So it is what `Method` is where nothing else is said: softmax(alpha) mixes (section 2.2, eq. (2)), with zero as one
    of the primitives and not limited, and chooses (section 2.4). The optimizers are those of every method:
    by default Adam without weight decay, and DARTS's own by the preset cifar10_darts. `steps.py` has the order of
    steps.
    """

    Settings = DartsSettings
    nonnegative = True

    def __init__(self, config: SearchConfig, settings: DartsSettings | None = None) -> None:
        super().__init__(config, settings)
        self.step = looking_ahead if self.settings.darts_order == 2 else alternating
