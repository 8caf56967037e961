"""What a comparison can have as a row: a search method, or one with a part of it changed or taken out."""

from dataclasses import dataclass

from vinnas_tf.errors import require
from vinnas_tf.methods import METHODS
from vinnas_tf.methods.channels import ChannelMethod


@dataclass(frozen=True)
class Row:
    """A search method and what differs from it.

    Attributes:
        method: a key of METHODS.
        flags: what differs, as flags of the search.
        epochs_of: the row whose epochs it goes on from, where `flags` matter after the last epoch alone: nothing is
            trained again. Empty: it has epochs of its own.
        rate_of: the row whose found channels say the drop probability: as many weights are kept on average. Empty: the
            settings say it, if the method reads one.
    """

    method: str
    flags: tuple[str, ...] = ()
    epochs_of: str = ""
    rate_of: str = ""

    @property
    def of_channels(self) -> bool:
        """Whether its search leaves a trained network, of fewer channels, and no cells to train."""
        return issubclass(METHODS[self.method], ChannelMethod)

    @property
    def stages(self) -> tuple[str, ...]:
        """Its commands, in their order; the last one leaves the figures."""
        return ("search",) if self.of_channels else ("search", "train")

    @property
    def needs(self) -> tuple[str, ...]:
        """Rows whose searches come before its own."""
        return tuple(filter(None, (self.rate_of, self.epochs_of)))


_FINE_TUNED = ("--fine_tuning_epochs=4",)
ABLATIONS = {
    "vinnas-magnitude": Row("vinnas", ("--select=magnitude",), epochs_of="vinnas"),
    "vinnas-no-entropy": Row("vinnas", ("--gamma_entropy=0",)),
    "vinnas-no-kl-alphas": Row("vinnas", ("--gamma_alphas=0",)),
    "vinnas-point-weights": Row("vinnas", ("--novariational",)),
    "si_vdnas-mode": Row("si_vdnas", ("--choose=mode",), epochs_of="si_vdnas"),
    "darts-second-order": Row("darts", ("--darts_order=2",)),
    "bayesnas-entropy-only": Row("bayesnas", ("--determined=0",)),
    "bayesnas-normalized": Row("bayesnas", ("--normalize_switches",)),
    "bayesnas-magnitude": Row("bayesnas", ("--keep=magnitude",), epochs_of="bayesnas"),
    "pgnas-tuned": Row("pgnas", _FINE_TUNED, epochs_of="pgnas"),
    "pgnas-equal-rate": Row("pgnas", ("--candidate_rates=equal",), epochs_of="pgnas"),
    "pgnas-permuted": Row("pgnas", ("--candidate_rates=permuted",), epochs_of="pgnas"),
    "pgnas_random": Row("pgnas_random", rate_of="pgnas"),
    "pgnas_random-tuned": Row("pgnas_random", _FINE_TUNED, epochs_of="pgnas_random", rate_of="pgnas"),
    # No draw reaches so small a probability: all masks are ones.
    "pgnas-full": Row("pgnas_random", ("--drop_probability=1e-30", "--candidates=1")),
}


def known_rows() -> dict[str, Row]:
    """Every row by its name: methods and ablations."""
    return {**{method: Row(method) for method in METHODS}, **ABLATIONS}


def require_rows(names: tuple[str, ...]) -> None:
    """Raises SettingError unless each name is that of a row, and all find cells, or all channels."""
    rows = known_rows()
    unknown = [name for name in names if name not in rows]
    require(not unknown, f"--methods knows {', '.join(rows)}; got {', '.join(unknown)}.")
    channels = [name for name in names if rows[name].of_channels]
    require(
        len(channels) in (0, len(names)),
        f"--methods: {', '.join(channels)} search the channels of a given network, the others cells: there is nothing "
        "in common to compare; give either.",
    )
