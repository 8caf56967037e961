"""Searches an architecture for a data set.

    python -m vinnas_tf.search --dataset=mnist

Trains a supergraph of candidate operations by variational inference, and writes the
found cells, the posterior they come from and pictures of both into a run folder.
The same command resumes a run that was interrupted, and ends with the same result.
"""

if __name__ == "__main__":
    import vinnas_tf.run.startup  # noqa: F401

# isort: split
import sys
import textwrap
from pathlib import Path

import keras
import psutil

from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.config import DataConfig, RunConfig, SearchConfig
from vinnas_tf.console import counted, describe, duration, introduce
from vinnas_tf.data import record as image_record
from vinnas_tf.data.batches import Normalization
from vinnas_tf.data.images import Dataset, load_train, with_full_path
from vinnas_tf.data.streamed import reading
from vinnas_tf.flags import docstring, preset_names, read_flags, run_cli
from vinnas_tf.kernels.device import on_cpu, prepare_cpu
from vinnas_tf.methods import make_method, method_variants
from vinnas_tf.methods.base import Method
from vinnas_tf.plots.cells import draw_cells
from vinnas_tf.plots.posterior import draw_posterior
from vinnas_tf.run.folder import RunDir, default_run_dir
from vinnas_tf.search.estimate import estimate
from vinnas_tf.search.result import SearchResult
from vinnas_tf.search.stage import Progress, epoch_table, train_supergraph


def search(data: DataConfig, method: Method, dataset: Dataset, run: RunDir) -> Genotype:
    """Searches, or goes on searching, and writes everything that the run folder's `search/` holds.

    Args:
        data: how images are prepared.
        method: what is searched, and how.
        dataset: the training images.
        run: the opened run folder.

    Raises:
        SettingError: the images do not fit the skeleton or the batch.
        DivergenceError: a loss stopped being a finite number.
    """
    result = _train(data, method, dataset, run) if method.trains else SearchResult(method, method.derive(None))
    result.genotype.save(run.file("genotype.json"))
    if result.found is not None:
        result.found.save(run.file("posterior.json"), method.columns(result.found))
    values = result.edge_values
    draw_cells(result.genotype, values, run.file("cells.png"), run.file("cells.svg"))
    if values is not None:
        draw_posterior(values, result.genotype, run.file("posterior.png"))
    run.mark_finished()
    return result.genotype


def _train(data: DataConfig, method: Method, dataset: Dataset, run: RunDir) -> SearchResult:
    images = method.split(dataset.train, method.config.seed)
    image_record.write(run.file(image_record.NAME), images.parts, dataset.class_names)

    def begin(progress: Progress) -> list[keras.callbacks.Callback]:
        print(_forecast(data, progress), flush=True)
        return [
            keras.callbacks.TensorBoard(run.file("tensorboard"), write_graph=False),
            epoch_table(progress),
        ]

    result = train_supergraph(
        method,
        images,
        Normalization.of(dataset.train),
        len(dataset.class_names),
        augment=data.augment,
        folder=run.file(""),
        watch=counted,
        begin=begin,
    )
    accuracy = result.history[result.epoch - 1]["alpha_accuracy"]
    print(f"Kept the alphas of epoch {result.epoch}, with {accuracy:.2%} on {images.watched_name}.")
    return result


def main(argv: list[str]) -> None:
    """The command: reads flags, opens the run folder, searches, and says where everything is."""
    settings = read_flags(
        argv,
        DataConfig,
        SearchConfig,
        RunConfig,
        command="search",
        usage=docstring(sys.modules[__name__]),
        variants=method_variants(),
    )
    data, config, where = settings[DataConfig], settings[SearchConfig], settings[RunConfig]
    method = make_method(config, settings.variant)
    prepare_cpu()
    path = Path(where.run_dir) if where.run_dir else default_run_dir(data.dataset, config.method, config.seed)
    data = with_full_path(data)
    dataset = load_train(data, config.seed, counted)
    with RunDir(
        path,
        stage="search",
        settings=[data, config, method.settings],
        data_fingerprint=dataset.fingerprint,
        preset=settings.preset,
        overwrite=where.overwrite,
    ) as run:
        if run.finished:
            print(f"{path} is finished: its genotype is in {run.file('genotype.json')}. --overwrite starts anew.")
            return
        print(introduce(f"Search into {path}", settings.preset, dataset, data, config, method.settings), flush=True)
        with reading():
            genotype = search(data, method, dataset, run)
        print(f"{describe(genotype)}\nWritten to {run.file('')}")


def _forecast(data: DataConfig, progress: Progress) -> str:
    """What is ahead: parameters, time, memory, and what to do where that is too much."""
    supergraph, steps, done = progress.model.supergraph, progress.steps, progress.done
    config = supergraph.method.config
    seconds, memory = estimate(supergraph, config, steps, config.epochs - done)
    parameters = supergraph.count_params()
    begins = f"Resumes after epoch {done}" if done else "Starts"
    lines = [
        f"{begins}: {parameters:,} parameters, {steps} steps an epoch. Rough estimate: "
        f"{duration(seconds)} and {memory / 2**30:.1f} GiB."
    ]
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


if __name__ == "__main__":
    run_cli(main)
