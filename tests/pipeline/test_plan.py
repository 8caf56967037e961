"""What the stages are started with, and what is refused before any runs."""

import shlex

import pytest

from vinnas_tf.config import DataConfig, ExportConfig, PipelineConfig, SearchConfig, TrainConfig
from vinnas_tf.errors import UserError
from vinnas_tf.pipeline.plan import commands, with_defaults
from vinnas_tf.pipeline.stages import STAGES


def config(**settings):
    return PipelineConfig(**settings)


def test_the_stages_are_those_of_the_list_and_share_one_folder(tmp_path):
    found = commands(config(), tmp_path)
    assert list(found.flags) == [stage.name for stage in STAGES if stage.name in found.flags]
    assert {words[-1] for words in found.flags.values()} == {f"--run_dir={tmp_path}"}


def test_each_stage_gets_what_is_shared_and_then_its_own_flags(tmp_path):
    asked = config(dataset="mnist", data_dir="/d", method="darts", seed=4, search="--epochs=3", export="--nosparse")
    found = commands(asked, tmp_path)
    where = f"--run_dir={tmp_path}"
    assert found.flags == {
        "search": ["--dataset=mnist", "--data_dir=/d", "--method=darts", "--seed=4", "--epochs=3", where],
        "train": ["--dataset=mnist", "--data_dir=/d", where],
        "export": ["--nosparse", where],
        "report": [where],
    }
    assert found.search[SearchConfig].epochs == 3
    assert found.train[TrainConfig].seed == 4  # Handed on by the search.
    assert not found.export[ExportConfig].sparse


def test_a_preset_is_for_whichever_stage_has_one_of_its_name(tmp_path):
    found = commands(config(dataset="mnist", preset="mnist_laptop"), tmp_path)
    assert "--preset=mnist_laptop" not in found.flags["search"]
    assert (found.search.preset, found.train.preset) == ("mnist", "mnist_laptop")


def test_a_method_that_leaves_a_trained_network_is_not_trained_again(tmp_path):
    assert list(commands(config(method="pgnas"), tmp_path).flags) == ["search", "export", "report"]
    assert list(commands(config(method="random"), tmp_path).flags) == ["search", "train", "export", "report"]


def test_pictures_of_a_folder_have_a_preset_and_a_size(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = with_defaults(config(dataset="folder:pictures"))
    assert (own.dataset, own.preset, own.image_size) == (f"folder:{tmp_path / 'pictures'}", "own_images", 32)
    found = commands(own, tmp_path)
    assert (found.search[DataConfig].image_size, found.train[DataConfig].image_size) == (32, 32)
    kept = with_defaults(config(dataset="folder:pictures", preset="smoke", image_size=16))
    assert (kept.preset, kept.image_size) == ("smoke", 16)
    assert with_defaults(config(dataset="folder:pictures", budget_minutes=5)).image_size == 0  # To be chosen.
    assert with_defaults(config(dataset="mnist")) == config(dataset="mnist")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"preset": "huge"}, "unknown preset 'huge'"),
        ({"method": "magic"}, "method must be one of vinnas, "),
        ({"search": "--epoch=3"}, "unknown flag --epoch: did you mean --epochs?"),
        ({"search": "--darts_order=2"}, "darts_order is not read by method=vinnas"),
        ({"train": "--epochs=3"}, "gamma_end_epoch must be below epochs=3"),
        ({"train": "--seed=3"}, "--train can't have --seed"),
        ({"search": "--method=darts"}, "--search can't have --method"),
        ({"export": "--formats=tflit"}, "formats knows saved_model, tflite, onnx; got tflit"),
        ({"export": "--run_dir=x"}, "--export can't have --run_dir"),
        ({"dataset": "digits", "search": "--cells=N"}, "--cells=NR has R, which the search's --cells=N has not"),
        ({"method": "pgnas", "max_bytes": 9}, "no threshold prunes: leave max_bytes out"),
        ({"method": "pgnas", "train": "--epochs=3"}, "no threshold prunes: leave train out"),
        ({"max_bytes": 9, "train": "--held_out=0"}, "held_out=0 keeps none"),
        ({"min_accuracy": 0.9, "train": "--novariational"}, "never pruned"),
        ({"max_bytes": 9, "export": "--formats=saved_model"}, "name tflite in its formats"),
    ],
)
def test_a_mistake_is_told_before_anything_runs(settings, message, tmp_path):
    with pytest.raises(UserError) as caught:
        commands(config(**settings), tmp_path / "run")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dataset": ""}, "dataset is empty"),
        ({"budget_minutes": -1.0}, "budget_minutes must not be negative"),
        ({"min_accuracy": 97.0}, r"min_accuracy must lie in \[0, 1\)"),
        ({"max_bytes": -5}, "max_bytes must not be negative"),
        ({"train": "--epochs='3"}, "train must be flags as a shell takes them"),
    ],
)
def test_a_value_that_is_none_is_refused(settings, message):
    with pytest.raises(UserError, match=message):
        config(**settings)


def test_further_flags_win_over_those_before():
    more = config(search="--epochs=3", train="--channels=4").with_flags("--epochs=5", "")
    assert (shlex.split(more.search), more.train) == (["--epochs=3", "--epochs=5"], "--channels=4")
