"""Running a folder's settings again: its flags read back, and what counts as the same file."""

import json
import zipfile

import keras
import numpy as np
import pytest

from vinnas_tf.config import DataConfig, ExportConfig, SearchConfig, TrainConfig
from vinnas_tf.errors import UserError
from vinnas_tf.methods import METHODS
from vinnas_tf.network.files import save_network
from vinnas_tf.pipeline.commands import read_search, read_train
from vinnas_tf.pipeline.reproduce import BYTES, CONTENT, DIFFERENT, MISSING, flags, reproduce, results, same, stages
from vinnas_tf.run.files import write_metrics
from vinnas_tf.run.folder import RunDir

DATA = DataConfig(augment=("crop", "flip"), data_fraction=0.3)
SEARCH = SearchConfig(method="darts", cells="NR", weight_optimizer="sgd", seed=5)
OWN = METHODS["darts"].Settings(darts_order=2)
TRAIN = TrainConfig(cells="NR", variational=False, schedule="steps", schedule_epochs=(30, 40))


@pytest.fixture
def run_dir(tmp_path):
    parts = {"search": [DATA, SEARCH, OWN], "train": [DATA, TRAIN], "export": [ExportConfig(sparse=False)]}
    names = {"search": "genotype.json", "train": "result.json", "export": "manifest.json"}
    for stage, settings in parts.items():
        preset = "" if stage == "export" else "digits"
        with RunDir(tmp_path / "run", stage=stage, settings=settings, data_fingerprint="", preset=preset) as run:
            run.file(names[stage]).write_text("{}")
            (run.file("tensorboard")).mkdir()
            (run.file("tensorboard") / "events").touch()
            run.mark_finished()
    return tmp_path / "run"


def test_the_flags_of_a_record_give_its_settings_back(run_dir, tmp_path):
    assert stages(run_dir) == ["search", "train", "export"]
    search = read_search(flags(run_dir, "search", tmp_path / "again"))
    assert (search[DataConfig], search[SearchConfig], search.variant) == (DATA, SEARCH, OWN)
    train = read_train(flags(run_dir, "train", tmp_path / "again"), search)
    assert (train[DataConfig], train[TrainConfig]) == (DATA, TRAIN)
    assert (search.preset, train.preset) == ("digits", "digits")
    assert flags(run_dir, "export", tmp_path / "again")[-2:] == ["--sparse=False", f"--run_dir={tmp_path / 'again'}"]


@pytest.mark.parametrize("method", METHODS)
def test_what_a_method_does_not_read_is_not_given(method, tmp_path):
    config, own = SearchConfig(method=method, seed=2), METHODS[method].Settings()
    with RunDir(tmp_path / "run", stage="search", settings=[DATA, config, own], data_fingerprint="") as run:
        run.file("genotype.json").write_text("{}")
        run.mark_finished()
    search = read_search(flags(tmp_path / "run", "search", tmp_path / "again"))
    assert (search[SearchConfig].method, search[SearchConfig].seed, search.variant) == (method, 2, own)


def test_its_results_are_compared_and_not_what_it_is_watched_by(run_dir):
    assert [list(results(run_dir, stage)) for stage in ("search", "train")] == [
        ["search/genotype.json"], ["train/result.json"],
    ]  # fmt: skip


def test_a_folder_without_a_run_is_refused(tmp_path, run_dir):
    with pytest.raises(UserError, match="has no finished stage to reproduce"):
        reproduce(tmp_path, tmp_path / "again")
    with pytest.raises(UserError, match="is the run itself"):
        reproduce(run_dir, run_dir)


@pytest.fixture
def pair(tmp_path):
    """Two folders for two versions of one file."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    return lambda name: (tmp_path / "one" / name, tmp_path / "other" / name)


def test_equal_bytes_and_a_missing_file(pair):
    one, other = pair("cells.png")
    one.write_bytes(b"picture")
    assert same(one, other) == MISSING
    other.write_bytes(b"picture")
    assert same(one, other) == BYTES
    other.write_bytes(b"another")
    assert same(one, other) == DIFFERENT


def write_arrays(path, year, arrays):
    """An .npz file whose archive says that it is of some year."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            np.save(path.with_suffix(".npy"), array)
            info = zipfile.ZipInfo(f"{name}.npy", (year, 1, 1, 0, 0, 0))
            archive.writestr(info, path.with_suffix(".npy").read_bytes())


def test_arrays_are_the_same_whatever_the_date_of_their_archive(pair):
    one, other = pair("trajectory.npz")
    write_arrays(one, 2020, {"a": np.array([1.0, np.nan]), "b": np.arange(3)})
    write_arrays(other, 2021, {"a": np.array([1.0, np.nan]), "b": np.arange(3)})
    assert one.read_bytes() != other.read_bytes()
    assert same(one, other) == CONTENT
    for changed in ({"a": np.array([1.0, np.nan])}, {"a": np.array([1.0, 2.0]), "b": np.arange(3)}):
        write_arrays(other, 2021, changed)
        assert same(one, other) == DIFFERENT


def test_networks_are_the_same_by_layers_and_weights(pair):
    one, other = pair("network.keras")
    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="classifier")])
    save_network(network, one)
    save_network(network, other)
    assert same(one, other) in (BYTES, CONTENT)
    network.layers[0].bias.assign([0.0, 1e-6])
    save_network(network, other)
    assert same(one, other) == DIFFERENT


def test_seconds_of_a_table_and_counts_at_a_threshold_do_not_count(pair):
    one, other = pair("metrics.csv")
    write_metrics(one, [{"epoch": 1, "loss": 0.1, "weights_kept": 9, "seconds": 3.0}])
    write_metrics(other, [{"epoch": 1, "loss": 0.1, "weights_kept": 5, "seconds": 4.0}])
    assert same(one, other) == CONTENT
    write_metrics(other, [{"epoch": 1, "loss": 0.1 + 1e-16 * 2**3, "weights_kept": 9, "seconds": 3.0}])
    assert same(one, other) == DIFFERENT


def test_json_is_compared_without_clocks_and_sums_of_dated_files(pair):
    one, other = pair("result.json")
    content = {"train_seconds": 3.0, "network_sha256": "a", "test": [{"accuracy": 0.9, "latency": {"1": 0.3}}]}
    one.write_text(json.dumps(content))
    other.write_text(json.dumps({**content, "train_seconds": 9.0, "network_sha256": "b"}))
    assert same(one, other) == CONTENT
    other.write_text(json.dumps({**content, "test": [{"accuracy": 0.8}]}))
    assert same(one, other) == DIFFERENT
