"""Searches an architecture for a data set.

    python -m vinnas_tf.search --dataset=mnist

Trains a supergraph of candidate operations by variational inference, and writes the
found cells, the posterior they come from and pictures of both into a run folder.
With --method=pgnas it searches which channels of a network are kept, and writes that
network with its weights, ready for vinnas_tf.export.
The same command resumes a run that was interrupted, and ends with the same result.
"""

if __name__ == "__main__":
    import vinnas_tf.run.startup  # noqa: F401

# isort: split
import sys
from dataclasses import dataclass
from pathlib import Path

import keras

from vinnas_tf.config import DataConfig, DeviceConfig, RunConfig, SearchConfig
from vinnas_tf.console import counted, describe, how_to_watch, introduce
from vinnas_tf.data import record as image_record
from vinnas_tf.data.batches import Normalization
from vinnas_tf.data.images import Dataset, load_train, open_source, with_full_path
from vinnas_tf.data.streamed import reading
from vinnas_tf.devices import Devices
from vinnas_tf.errors import RunFolderError, require
from vinnas_tf.flags import docstring, read_flags, run_cli
from vinnas_tf.kernels.device import prepare_machine
from vinnas_tf.methods import make_method, method_variants
from vinnas_tf.methods.base import Method
from vinnas_tf.methods.channels import ChannelMethod
from vinnas_tf.run.digest import sha256_of
from vinnas_tf.run.folder import RunDir, default_run_dir
from vinnas_tf.run.outputs import NETWORK
from vinnas_tf.search.board import Histograms
from vinnas_tf.search.forecast import begin
from vinnas_tf.search.outputs import write_cells, write_channels
from vinnas_tf.search.progress import Progress
from vinnas_tf.search.result import ChannelResult, SearchResult
from vinnas_tf.search.stage import train_and_choose
from vinnas_tf.train.progress import PRINTED


def search(
    data: DataConfig, method: Method, dataset: Dataset, run: RunDir, device: DeviceConfig | None = None
) -> SearchResult | ChannelResult:
    """Searches, or goes on searching, and writes everything that the run folder's `search/` holds.

    Args:
        data: how images are prepared.
        method: what is searched, and how.
        dataset: the training images.
        run: the opened run folder.
        device: what computes it; None: the defaults.

    Raises:
        SettingError: the images do not fit the network or the batch, or the batch the devices.
        DivergenceError: a loss stopped being a finite number.
        ArchitectureError: all candidates of a search of channels are cut in two.
    """
    if not method.trains:
        drawn = SearchResult(method, method.derive(None))
        write_cells(drawn, run)
        return drawn
    images = method.split(dataset.train, method.config.seed)
    image_record.write(run.file(image_record.NAME), images.parts, dataset.class_names)

    def callbacks(progress: Progress) -> list[keras.callbacks.Callback]:
        table = begin(data, progress, len(images.watched))
        board = run.file("tensorboard")
        histograms = Histograms(board, lambda: progress.record.found(-1))
        return [keras.callbacks.TensorBoard(board, write_graph=False), histograms, table]

    result = train_and_choose(
        method,
        images,
        Normalization.of(dataset.train),
        len(dataset.class_names),
        augment=data.augment,
        device=device,
        folder=run.file(""),
        words=PRINTED,
        begin=callbacks,
    )
    if isinstance(result, ChannelResult):
        write_channels(result, images, dataset, data, run)
    else:
        write_cells(result, run)
        accuracy = result.history[result.epoch - 1]["alpha_accuracy"]
        print(f"Kept the alphas of epoch {result.epoch}, with {accuracy:.2%} on {images.watched_name}.")
    return result


@dataclass(frozen=True)
class _Origin:
    """The file that a backbone is made of, as a setting of the search: one that was changed is another backbone."""

    backbone_sha256: str


def _origin(method: Method) -> list[_Origin]:
    file = method.settings.file if isinstance(method, ChannelMethod) else None
    return [] if file is None else [_Origin(sha256_of(file))]


def main(argv: list[str]) -> None:
    """The command: reads flags, opens the run folder, searches, and says where everything is."""
    settings = read_flags(
        argv,
        DataConfig,
        SearchConfig,
        DeviceConfig,
        RunConfig,
        command="search",
        usage=docstring(sys.modules[__name__]),
        variants=method_variants(),
    )
    data, config = settings[DataConfig], settings[SearchConfig]
    device, where = settings[DeviceConfig], settings[RunConfig]
    method = make_method(config, settings.variant)
    prepare_machine()
    Devices(device).require_batch(config.batch_size)  # Tells of what is missing here before images are read.
    path = Path(where.run_dir) if where.run_dir else default_run_dir(data.dataset, config.method, config.seed)
    data = with_full_path(data)
    dataset = load_train(data, config.seed, counted)
    with RunDir(
        path,
        stage="search",
        settings=[data, config, device, method.settings, *_origin(method)],
        data_fingerprint=dataset.fingerprint,
        preset=settings.preset,
        overwrite=where.overwrite,
    ) as run:
        if run.finished:
            print(f"{path} is finished: what it found is in {run.result}. --overwrite starts anew.")
            return
        told = (data, config, device, method.settings)
        print(introduce(f"Search into {path}", settings.preset, dataset, *told, unread=method.ignores), flush=True)
        if method.trains:
            print(how_to_watch(path), flush=True)
        if isinstance(method, ChannelMethod):
            require(
                not (path / "train" / NETWORK).exists(),
                f"{path} holds a training, whose network an export would take: use another --run_dir.",
                RunFolderError,
            )
            open_source(data).part("test")  # Tells now, and not after the search, what is wrong with it.
        with reading():
            result = search(data, method, dataset, run, device)
        found = result.masks.describe() if isinstance(result, ChannelResult) else describe(result.genotype)
        print(f"{found}\nWritten to {run.file('')}")


if __name__ == "__main__":
    run_cli(main)
