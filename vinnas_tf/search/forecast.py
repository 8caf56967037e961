"""What a person is told before the first epoch: what is trained, and about how long it will take."""

import textwrap

import keras
import psutil

from vinnas_tf.config import DataConfig
from vinnas_tf.console import duration
from vinnas_tf.flags import preset_names
from vinnas_tf.kernels.device import on_cpu
from vinnas_tf.search.backbone import MaskedBackbone
from vinnas_tf.search.estimate import estimate
from vinnas_tf.search.progress import Progress, epoch_table
from vinnas_tf.search.supergraph import Supergraph

_FORWARD = 1 / 3  # Of the seconds of a step, which goes forwards and backwards: a guess, not measured.


def begin(data: DataConfig, progress: Progress, held_out: int) -> keras.callbacks.Callback:
    """Prints what is ahead, and returns the callback that prints the epochs.

    Args:
        data: the images.
        progress: the search that is about to begin.
        held_out: how many images candidates are judged by, if there are any.
    """
    network = progress.model.supergraph
    begins = f"Resumes after epoch {progress.done}" if progress.done else "Starts"
    size = f"{begins}: {network.count_params():,} parameters"
    if isinstance(network, MaskedBackbone):
        masked = network.masked
        groups = f"{masked.channels:,} channels in {len(masked.groups)} groups"
        print(textwrap.fill(f"{size}, {groups}, {progress.steps} steps an epoch.", 80), flush=True)
        return epoch_table(progress, lambda seconds: _channels_ahead(progress, network, held_out, seconds))
    print(_cells_ahead(data, progress, network, size), flush=True)
    return epoch_table(progress)


def _cells_ahead(data: DataConfig, progress: Progress, supergraph: Supergraph, size: str) -> str:
    """Time and memory, and what to do where that is too much."""
    config, steps = supergraph.method.config, progress.steps
    seconds, memory = estimate(supergraph, config, steps, config.epochs - progress.done)
    lines = [f"{size}, {steps} steps an epoch. Rough estimate: {duration(seconds)} and {memory / 2**30:.1f} GiB."]
    available = psutil.virtual_memory().available
    if on_cpu() and memory > available:
        lines.append(f"That is more memory than the {available / 2**30:.1f} GiB free here: use a smaller --batch_size.")
    if on_cpu() and seconds > 3600:
        laptop = f"{data.dataset}_laptop"
        smaller = (
            f"--preset={laptop}" if laptop in preset_names("search") else "fewer --epochs or a smaller --data_fraction"
        )
        lines.append(f"For a search within the hour on this CPU use {smaller}.")
    return "\n".join(textwrap.fill(line, 80) for line in lines)


def _channels_ahead(progress: Progress, backbone: MaskedBackbone, held_out: int, seconds: float) -> str:
    """Time of the epochs and of the candidates, from the seconds of a step."""
    config, candidates = backbone.method.config, backbone.method.settings.candidates
    training = seconds * progress.steps * (config.epochs - progress.done)
    judging = seconds * _FORWARD * candidates * held_out / config.batch_size
    tuning = seconds * progress.steps * backbone.method.settings.fine_tuning_epochs
    last = f", and {duration(tuning)} to fine-tune the best" if tuning else ""
    return (
        f"Rough estimate: {duration(training)} of training, then {duration(judging)} to judge {candidates:,} "
        f"candidates{last}."
    )
