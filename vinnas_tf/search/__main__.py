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
import tensorflow as tf

from vinnas_tf.architecture.collapse import collapse_warning
from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.architecture.posterior import Posterior
from vinnas_tf.architecture.space import SPACES
from vinnas_tf.config import DataConfig, RunConfig, SearchConfig
from vinnas_tf.console import SEARCH_TABLE, Watch, counted, describe, duration, introduce
from vinnas_tf.data import record as image_record
from vinnas_tf.data.batches import Normalization, evaluation_batches, training_batches
from vinnas_tf.data.images import Dataset, load_train, split_halves, with_full_path
from vinnas_tf.errors import require
from vinnas_tf.flags import docstring, preset_names, read_flags, run_cli
from vinnas_tf.kernels.device import on_cpu, share_two_cores
from vinnas_tf.methods import make_method
from vinnas_tf.optimizer import PosteriorAdam
from vinnas_tf.plots.cells import draw_cells
from vinnas_tf.plots.posterior import draw_posterior
from vinnas_tf.run.checkpoint import EpochCheckpoint
from vinnas_tf.run.folder import RunDir, default_run_dir
from vinnas_tf.search.callbacks import MeasureStatistics, Recorder, Schedule
from vinnas_tf.search.estimate import estimate
from vinnas_tf.search.model import SearchModel
from vinnas_tf.search.record import SearchRecord
from vinnas_tf.search.supergraph import Supergraph


def make_model(config: SearchConfig, image_shape: tuple[int, ...], classes: int, examples: int) -> SearchModel:
    """A compiled search model.

    Args:
        config: method, skeleton, objective and optimizers.
        image_shape: [height, width, channels] of the images.
        classes: number of classes.
        examples: number of images in either half of the data.
    """
    method = make_method(config)
    if method.looks_ahead:
        # Its finite difference moves a weight by less than a GPU's TF32 keeps of it.
        tf.config.experimental.enable_tensor_float_32_execution(False)
    model = SearchModel(Supergraph(config, method, classes), method, config, examples)
    model.build((None, *image_shape))
    steps = config.epochs * (examples // config.batch_size) * (2 if method.single_level else 1)
    model.compile(
        weight_optimizer=PosteriorAdam(
            keras.optimizers.schedules.CosineDecay(config.weight_learning_rate, steps),
            log_variance_rate=config.log_variance_rate,
        ),
        alpha_optimizer=keras.optimizers.Adam(config.alpha_learning_rate),
    )
    return model


def search(data: DataConfig, config: SearchConfig, dataset: Dataset, run: RunDir) -> Genotype:
    """Searches, or goes on searching, and writes everything that the run folder's `search/` holds.

    Args:
        data: how images are prepared.
        config: what is searched, and how.
        dataset: the training images; they are split in halves here.
        run: the opened run folder.

    Raises:
        SettingError: the images do not fit the skeleton or the batch, or a loss stopped being finite.
    """
    method = make_method(config)
    if method.trains:
        genotype = _train_supergraph(data, config, dataset, run)
    else:
        genotype = method.derive(None)
        draw_cells(genotype, None, run.file("cells.png"), run.file("cells.svg"))
    genotype.save(run.file("genotype.json"))
    run.mark_finished()
    return genotype


def _train_supergraph(data: DataConfig, config: SearchConfig, dataset: Dataset, run: RunDir) -> Genotype:
    """The search proper: trains, keeps the record, and reads the genotype off the posterior."""
    keras.utils.set_random_seed(config.seed)
    weight_half, alpha_half = split_halves(dataset.train, config.seed)
    image_record.write(
        run.file(image_record.NAME), {"weights": weight_half, "architecture": alpha_half}, dataset.class_names
    )
    examples = len(weight_half)
    steps = examples // config.batch_size
    require(
        steps >= 1,
        f"--batch_size={config.batch_size} is more than the {examples} images in each half of the data: "
        "use a smaller one, or a larger --data_fraction.",
    )
    normalization = Normalization.of(dataset.train)
    model = make_model(config, dataset.train.images.shape[1:], len(dataset.class_names), examples)
    checkpoint = EpochCheckpoint(model, [model.weight_optimizer, model.alpha_optimizer], run.file("checkpoints"))
    done = checkpoint.restore()
    record = SearchRecord(run.file(""), done)

    def posterior(epoch: int) -> Posterior:
        return record.posterior(epoch, SPACES[config.space], config.states)

    def warning() -> str | None:
        if len(record.rows) <= config.weight_epochs:
            return None
        latest = posterior(-1)
        return collapse_warning(latest, model.method.derive(latest))

    if done < config.epochs:
        print(_forecast(data, config, model, steps, done), flush=True)
        batches = [
            training_batches(
                half,
                batch_size=config.batch_size,
                normalization=normalization,
                augment=data.augment,
                seed=2 * config.seed + which,
                first_epoch=done,
                epochs=config.epochs,
            )
            for which, half in enumerate((weight_half, alpha_half))
        ]
        model.fit(
            tf.data.Dataset.zip(*batches),
            validation_data=evaluation_batches(alpha_half, batch_size=config.batch_size, normalization=normalization),
            steps_per_epoch=steps,
            initial_epoch=done,
            epochs=config.epochs,
            shuffle=False,  # The data sets shuffle themselves.
            verbose=0,
            callbacks=[
                Schedule(config),
                MeasureStatistics(weight_half, normalization),
                Recorder(record, checkpoint.save),
                keras.callbacks.TensorBoard(run.file("tensorboard"), write_graph=False),
                Watch(SEARCH_TABLE, config.epochs, steps, lambda: record.rows[-1], config.weight_epochs, warning),
            ],
        )

    last = config.epochs - 1
    epoch = record.best_epoch(config.weight_epochs) if model.method.keeps_best_epoch else last
    kept = posterior(epoch)
    genotype = model.method.derive(kept)
    kept.save(run.file("posterior.json"), model.method.score)
    draw_cells(genotype, kept, run.file("cells.png"), run.file("cells.svg"))
    draw_posterior(kept, record.trajectory, genotype, run.file("posterior.png"))
    accuracy = record.rows[epoch]["alpha_accuracy"]
    print(f"Kept the alphas of epoch {epoch + 1}, with {accuracy:.2%} on the alpha half.")
    return genotype


def main(argv: list[str]) -> None:
    """The command: reads flags, opens the run folder, searches, and says where everything is."""
    settings = read_flags(
        argv, DataConfig, SearchConfig, RunConfig, command="search", usage=docstring(sys.modules[__name__])
    )
    data, config, where = settings[DataConfig], settings[SearchConfig], settings[RunConfig]
    make_method(config)  # An unknown method is told before the data is read.
    share_two_cores()
    path = Path(where.run_dir) if where.run_dir else default_run_dir(data.dataset, config.method, config.seed)
    data = with_full_path(data)
    dataset = load_train(data, config.seed, counted)
    with RunDir(
        path,
        stage="search",
        settings=[data, config],
        data_fingerprint=dataset.fingerprint,
        preset=settings.preset,
        overwrite=where.overwrite,
    ) as run:
        if run.finished:
            print(f"{path} is finished: its genotype is in {run.file('genotype.json')}. --overwrite starts anew.")
            return
        print(introduce(f"Search into {path}", settings.preset, dataset, data, config), flush=True)
        genotype = search(data, config, dataset, run)
        print(f"{describe(genotype)}\nWritten to {run.file('')}")


def _forecast(data: DataConfig, config: SearchConfig, model: SearchModel, steps: int, done: int) -> str:
    """What is ahead: parameters, time, memory, and what to do where that is too much."""
    seconds, memory = estimate(model.supergraph, config, steps, config.epochs - done)
    parameters = model.supergraph.count_params()
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
