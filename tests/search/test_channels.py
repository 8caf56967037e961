"""A search of channels from images to the exported network: what it chooses by, what it leaves, how it goes on."""

import csv
import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from vinnas_tf.architecture.masks import Masks
from vinnas_tf.config import DataConfig, SearchConfig
from vinnas_tf.data.batches import Normalization
from vinnas_tf.data.image_set import ImageSet
from vinnas_tf.data.images import SOURCES, Dataset, load_test, load_train
from vinnas_tf.data.source import Part, Source, open_digits
from vinnas_tf.errors import UserError
from vinnas_tf.export.source import read_finished
from vinnas_tf.methods import METHODS
from vinnas_tf.methods.pgnas import Pgnas, PgnasSettings
from vinnas_tf.network.masks import MaskedNetwork
from vinnas_tf.run.folder import RunDir
from vinnas_tf.search.__main__ import main, search
from vinnas_tf.search.candidates import Judge, best_candidate, draw_candidate, judge_candidates
from vinnas_tf.search.result import ChannelResult
from vinnas_tf.search.stage import Progress, Search, make_supergraph, train_and_choose
from vinnas_tf.train.__main__ import main as train

CANDIDATES = 45
CONFIG = SearchConfig(method="pgnas", epochs=2, weight_epochs=0, batch_size=32, seed=3)
SETTINGS = PgnasSettings(candidates=CANDIDATES, prior_precision=1.0)


class Small(Pgnas):
    """PGNAS of three convolutions, which is traced in a second."""

    def backbone(self, image_shape: tuple[int, ...], classes: int) -> keras.Model:
        keras.utils.set_random_seed(self.config.seed)
        x = keras.Input(image_shape, name="images")
        y = keras.layers.Conv2D(8, 3, padding="same", strides=2, use_bias=False, name="first")(x)
        y = keras.layers.ReLU(name="first_relu")(keras.layers.BatchNormalization(name="first_norm")(y))
        paths = [keras.layers.Conv2D(6, 3, padding="same", use_bias=False, name=f"path_{n}")(y) for n in range(2)]
        y = keras.layers.BatchNormalization(name="norm")(keras.layers.Concatenate(name="both")(paths))
        y = keras.layers.GlobalAveragePooling2D(name="pool")(keras.layers.ReLU(name="relu")(y))
        return keras.Model(x, keras.layers.Dense(classes, name="classifier")(y), name="small")


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_train(DataConfig(data_fraction=0.3), CONFIG.seed)


def run(
    digits: Dataset,
    folder: Path | None,
    begin: Callable[[Progress], Sequence[keras.callbacks.Callback]] = lambda _: (),
    watch: Callable[[str, Sequence[int]], Iterator[int]] = lambda _, items: iter(items),
) -> ChannelResult:
    images = Small.split(digits.train, CONFIG.seed)
    result = train_and_choose(
        Small(CONFIG, SETTINGS),
        images,
        Normalization.of(digits.train),
        10,
        folder=folder,
        begin=begin,
        watch=watch,
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


def test_judged_candidates_that_were_damaged_are_judged_again_and_that_is_told(digits, tmp_path, caplog) -> None:
    method = Small(CONFIG, SETTINGS)
    masked = MaskedNetwork(method.backbone((8, 8, 1), 10))
    judge = Judge(masked, method.split(digits.train, 0).watched, Normalization.of(digits.train))
    drop = np.full(masked.channels, 0.3)
    rows = judge_candidates(judge, masked, drop, 25, 5, tmp_path)
    assert judge_candidates(judge, masked, drop, 25, 5, tmp_path) == rows
    state = tmp_path / "checkpoints" / "candidates.npz"
    good = state.read_bytes()
    for content in (b"", good[:-1], good[:400] + bytes([good[400] ^ 1]) + good[401:]):
        state.write_bytes(content)
        caplog.clear()
        assert judge_candidates(judge, masked, drop, 25, 5, tmp_path) == rows
        assert caplog.messages == [f"{state} is damaged: judges all candidates again."]
        assert state.read_bytes() == good


def test_all_candidates_are_judged_by_one_graph(digits) -> None:
    method = Small(CONFIG, SETTINGS)
    masked = MaskedNetwork(method.backbone((8, 8, 1), 10))
    watched = method.split(digits.train, 0).watched
    normalization = Normalization.of(digits.train)
    judge = Judge(masked, watched, normalization)
    drop = np.full(masked.channels, 0.3)
    rows = judge_candidates(judge, masked, drop, 30, 5)
    assert judge.right.experimental_get_tracing_count() == 1
    images = normalization.layer()(watched.images)
    for row in rows[::10]:
        mask = draw_candidate(drop, 5, int(row["index"]))
        logits = masked.dropped(mask)(images, training=False).numpy()
        assert_allclose(row["accuracy"], (logits.argmax(axis=1) == watched.labels).mean(), atol=1e-9)
    drawn = np.mean([draw_candidate(drop, 5, number) for number in range(2000)])
    assert abs(drawn - 0.7) < 5 * np.sqrt(0.21 / 2000 / masked.channels)


def test_of_equal_candidates_the_smaller_then_the_earlier_one_is_chosen_and_none_that_is_cut() -> None:
    def row(index: int, accuracy: float, weights: int, connected: int = 1) -> dict[str, Any]:
        return {"index": index, "accuracy": accuracy, "weights": weights, "connected": connected}

    rows = [row(0, 0.5, 9), row(1, 0.7, 8), row(2, 0.7, 7), row(3, 0.7, 7), row(4, 0.9, 1, connected=0)]
    assert best_candidate(rows) == 2
    with pytest.raises(UserError, match="nothing leads .* in any of the 1 candidates: .* a smaller prior_precision"):
        best_candidate(rows[4:])


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
