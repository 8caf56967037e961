"""A search of channels from images to the exported network: what it chooses by, what it leaves, how it goes on."""

import csv
import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tests.search.small_channels import CANDIDATES, CONFIG, SETTINGS, Small
from vinnas_tf.architecture.masks import Masks
from vinnas_tf.config import DataConfig
from vinnas_tf.data.batches import Normalization
from vinnas_tf.data.image_set import ImageSet
from vinnas_tf.data.images import SOURCES, Dataset, load_test, load_train
from vinnas_tf.data.source import Part, Source, open_digits
from vinnas_tf.errors import UserError
from vinnas_tf.export.source import read_finished
from vinnas_tf.methods import METHODS
from vinnas_tf.methods.pgnas import PgnasSettings
from vinnas_tf.run.folder import RunDir
from vinnas_tf.search.__main__ import main, search
from vinnas_tf.search.progress import Progress
from vinnas_tf.search.result import ChannelResult
from vinnas_tf.search.stage import Search, make_supergraph, train_and_choose
from vinnas_tf.search.take_over import take_over
from vinnas_tf.train.__main__ import main as train
from vinnas_tf.train.progress import LOGGED


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_train(DataConfig(data_fraction=0.3), CONFIG.seed)


def run(
    digits: Dataset,
    folder: Path | None,
    begin: Callable[[Progress], Sequence[keras.callbacks.Callback]] = lambda _: (),
    watch: Callable[[str, Sequence[int]], Iterator[int]] = lambda _, items: iter(items),
    settings: PgnasSettings = SETTINGS,
) -> ChannelResult:
    images = Small.split(digits.train, CONFIG.seed)
    result = train_and_choose(
        Small(CONFIG, settings),
        images,
        Normalization.of(digits.train),
        10,
        folder=folder,
        begin=begin,
        words=dataclasses.replace(LOGGED, go_through=watch),  # type: ignore[arg-type]
    )
    assert isinstance(result, ChannelResult)
    return result


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[ChannelResult, Path]:
    """What the command finds, and its run folder; its test images can't be read before the choice is written."""
    path = tmp_path_factory.mktemp("run")
    data = DataConfig(dataset="guarded", data_fraction=0.3)

    def guarded(config: DataConfig, _: Any) -> Source:
        source = open_digits(config.image_size, config.framing)
        test = source.part("test")

        def read(index: int) -> np.ndarray:
            assert (path / "search" / "masks.json").exists() and (path / "search" / "network.keras").exists()
            return test.read(index)

        parts = {"train": source.part("train"), "test": Part(test.labels, test.names, read)}
        return Source(source.class_names, source.preparation, parts.get)

    SOURCES["guarded"] = guarded
    try:
        dataset = load_train(data, CONFIG.seed)
        method = Small(CONFIG, SETTINGS)
        with RunDir(
            path, stage="search", settings=[data, CONFIG, SETTINGS], data_fingerprint=dataset.fingerprint
        ) as run:
            result = search(data, method, dataset, run)
            assert run.finished and run.result.name == "masks.json"
    finally:
        del SOURCES["guarded"]
    assert isinstance(result, ChannelResult)
    return result, path


def rows_of(folder: Path) -> list[dict[str, str]]:
    with open(folder / "candidates.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_most_accurate_candidate_is_chosen_and_the_network_answers_like_it(finished, digits) -> None:
    result, run_dir = finished
    folder = run_dir / "search"
    rows = rows_of(folder)
    assert [int(row["index"]) for row in rows] == list(range(CANDIDATES))
    best = max(rows, key=lambda row: (float(row["accuracy"]), -int(row["weights"]), -int(row["index"])))
    assert int(best["index"]) == result.chosen
    # The file's network, on raw pixels, has the accuracy of its row; its masks are those of its number and seed.
    network = keras.models.load_model(folder / "network.keras")
    watched = Small.split(digits.train, CONFIG.seed).watched
    right = network(watched.images.astype("float32")).numpy().argmax(axis=1) == watched.labels
    assert_allclose(right.mean(), float(best["accuracy"]), atol=1.5 / len(watched))
    masks = Masks.load(folder / "masks.json")
    assert int(best["channels"]) == masks.vector.sum()
    assert_array_equal(masks.vector, np.random.default_rng([3, result.chosen]).random(29) >= result.found.of_channels)
    assert result.stripping_error < 1e-4
    assert {type(layer).__module__.split(".")[0] for layer in network.layers} == {"keras"}
    assert result.costs["weights_nonzero"] == int(best["weights"]) < result.costs["weights_dense"]


def test_n_counts_each_image_once_and_ten_times_where_it_is_augmented(digits) -> None:
    counted = []

    def begin(progress: Progress) -> list[keras.callbacks.Callback]:
        counted.append(progress.model.examples)
        raise InterruptedError

    images = Small.split(digits.train, CONFIG.seed)
    for augment in ((), ("flip",)):
        with pytest.raises(InterruptedError):
            train_and_choose(
                Small(CONFIG, SETTINGS), images, Normalization.of(digits.train), 10, augment=augment, begin=begin
            )
    assert counted == [len(images.weights), 10 * len(images.weights)]


class Killed(Exception):
    pass


class KillAfterOneEpoch(keras.callbacks.Callback):
    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        raise Killed


@pytest.mark.cpu
def test_a_search_that_was_killed_twice_ends_with_the_same_files(finished, digits, tmp_path) -> None:
    expected = finished[1] / "search"
    with pytest.raises(Killed):
        run(digits, tmp_path, lambda _: [KillAfterOneEpoch()])

    def kill(_: str, items: Sequence[int]) -> Iterator[int]:
        yield from items[:25]
        raise Killed

    with pytest.raises(Killed):
        run(digits, tmp_path, watch=kill)
    assert len(rows_of(tmp_path)) == 20  # They are judged, and written, in twenties.
    # For people; nothing is read from it.
    (tmp_path / "candidates.csv").write_text("index,seed,accuracy\n0,3,1.0\n")
    seen: list[int] = []

    def watch(_: str, items: Sequence[int]) -> Iterator[int]:
        seen.extend(items)
        return iter(items)

    result = run(digits, tmp_path, watch=watch)
    result.save(tmp_path)
    assert seen == list(range(20, CANDIDATES))
    for name in ("candidates.csv", "masks.json", "posterior.json", "trajectory.npz"):
        assert (tmp_path / name).read_bytes() == (expected / name).read_bytes(), name
    networks = [keras.models.load_model(folder / "network.keras") for folder in (tmp_path, expected)]
    for a, b in zip(*(network.get_weights() for network in networks), strict=True):
        assert_array_equal(a, b)


@pytest.mark.parametrize("how", ["equal", "permuted"])
def test_controls_draw_candidates_with_other_rates_on_the_same_weights(finished, digits, tmp_path, how) -> None:
    learnt, run_dir = finished
    settings = dataclasses.replace(SETTINGS, candidate_rates=how, candidates=3)
    take_over(run_dir, tmp_path, settings)
    result = run(digits, tmp_path / "search", settings=settings)
    assert_array_equal(result.found.of_channels, learnt.found.of_channels)
    # Kernels of 3 x 3 of 8 filters and, twice, of 6, and a classifier of 10: the weights that read a channel of each.
    sizes, weights = [1, 8, 8, 6, 6], [72, 54, 54, 10, 10]
    kept = np.dot(np.multiply(sizes, weights), 1 - learnt.found.p)
    assert result.equal_rate == pytest.approx(1 - kept / np.dot(sizes, weights))
    rates = np.full(29, result.equal_rate)
    if how == "permuted":
        rates = np.random.default_rng([3, 2**32 - 1]).permutation(np.repeat(learnt.found.p, sizes))
    for row in result.candidates:
        assert row["channels"] == (np.random.default_rng([3, int(row["index"] or 0)]).random(29) >= rates).sum()


@pytest.mark.cpu
def test_fine_tuning_trains_what_was_chosen_and_resumes(finished, digits, tmp_path) -> None:
    learnt, run_dir = finished
    settings = dataclasses.replace(SETTINGS, fine_tuning_epochs=2)
    take_over(run_dir, tmp_path, settings)
    folder = tmp_path / "search"
    shutil.copy(run_dir / "search" / "candidates.csv", folder)
    result = run(digits, folder, settings=settings)
    assert result.chosen == learnt.chosen and [row["epoch"] for row in result.fine_tuning_history] == [1, 2]
    losses = [row["cross_entropy"] for row in result.fine_tuning_history]
    assert losses[1] < losses[0]
    assert result.held_out.nll < learnt.held_out.nll
    # Nothing that was dropped comes back: as many weights are left, and of the same shapes.
    assert result.costs["weights_nonzero"] == learnt.costs["weights_nonzero"]
    assert [w.shape for w in result.network.get_weights()] == [w.shape for w in learnt.network.get_weights()]
    assert result.stripping_error < 1e-4
    (folder / "fine_tuning" / "checkpoints" / "epoch-2.npz").unlink()  # As if it had been killed in the second.
    again = run(digits, folder, settings=settings)
    for a, b in zip(again.network.get_weights(), result.network.get_weights(), strict=True):
        assert_array_equal(a, b)


def test_nothing_held_out_is_refused_before_an_epoch(digits) -> None:
    one_of_each = digits.train.take(np.unique(digits.train.labels, return_index=True)[1])
    method = Small(dataclasses.replace(CONFIG, batch_size=2), SETTINGS)
    with pytest.raises(UserError, match="none is held out, and candidates are judged by those: use more images"):
        train_and_choose(method, method.split(one_of_each, 0), Normalization.of(one_of_each), 10)


def test_the_command_reads_the_test_images_after_the_choice_and_leaves_a_finished_network(finished) -> None:
    folder = finished[1] / "search"
    result = json.loads((folder / "result.json").read_text())
    test: ImageSet = load_test(DataConfig())
    network = keras.models.load_model(folder / "network.keras")
    right = network(test.images.astype("float32")).numpy().argmax(axis=1) == test.labels
    assert_allclose(result["test"]["stripped"]["accuracy"], right.mean(), atol=1.5 / len(test))
    assert result["test_images_learnt_from"] == 0
    assert sum(result["class_counts"]["train"]) + sum(result["class_counts"]["held_out"]) == 431
    for name in ("candidates.png", "masks.png", "confusion.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    table = (folder / "metrics.csv").read_text().splitlines()
    assert {"kl", "kl_weighted", "drop_mean", "drop_largest", "groups_above_half"} <= set(table[0].split(","))


def test_a_folder_with_a_training_is_refused_which_an_export_would_take(tmp_path, capsys) -> None:
    data = DataConfig()
    with RunDir(tmp_path, stage="train", settings=[data], data_fingerprint="") as run:
        run.file("network.keras").write_bytes(b"")
    with pytest.raises(UserError, match="holds a training, whose network an export would take: use another --run_dir"):
        main(["--method=pgnas", f"--run_dir={tmp_path}"])


def test_export_takes_the_network_of_such_a_search_and_train_refuses_it(finished) -> None:
    run_dir = finished[1]
    read = read_finished(run_dir)
    assert read.stage == "search" and read.source.unpruned is None and read.source.image_shape == (8, 8, 1)
    assert read.source.origin["masks"]["groups"] and read.seed == 3 and read.data.dataset == "guarded"
    with pytest.raises(UserError, match="has left a trained network, and no cells to train: export it") as caught:
        train([f"--run_dir={run_dir}", "--dataset=digits", "--data_fraction=0.3"])
    assert "\n" not in str(caught.value)
    masks = run_dir / "search" / "masks.json"
    written = masks.read_text()
    masks.write_text(written.replace('"kept": "1', '"kept": "0', 1))
    with pytest.raises(UserError, match="is not the file that the stage wrote: it was changed or cut off"):
        read_finished(run_dir)
    masks.write_text(written)


def test_the_library_finds_channels_of_arrays(digits, monkeypatch) -> None:
    monkeypatch.setitem(METHODS, "small", Small)
    images, labels = digits.train.images, digits.train.labels
    searched = Search(method="small", epochs=1, weight_epochs=0, batch_size=32, candidates=3, prior_precision=1.0).fit(
        images[:200], labels[:200], validation=(images[200:260], labels[200:260])
    )
    assert isinstance(searched, ChannelResult)
    assert searched.network(images[:5].astype("float32")).shape == (5, 10)
    assert len(searched.candidates) == 3 and len(searched.history) == 1
    # Candidates are judged by the images that were given for it.
    assert searched.held_out.images == 60
    with pytest.raises(UserError, match="method=small searches the channels of a network, and has no supergraph"):
        make_supergraph(image_shape=(8, 8, 1), classes=10, method="small")
