"""What a comparison does in which order, with which command lines, and what it refuses before it starts."""

import numpy as np
import pytest
import tensorflow as tf

from vinnas_tf.compare.plan import Stage, able_methods, check, plan, stage_flags
from vinnas_tf.config import CompareConfig
from vinnas_tf.errors import UserError
from vinnas_tf.layers.channel_mask import bernoulli_mask, concrete_mask
from vinnas_tf.methods import METHODS
from vinnas_tf.run.outputs import mark
from vinnas_tf.search.candidates import draw_candidate


def config(**settings):
    return CompareConfig(**{"methods": ("vinnas", "vinnas-magnitude"), "seeds": 2, **settings})


def test_seed_by_seed_and_no_search_twice():
    first, second = (
        [
            Stage("vinnas", seed, "search"),
            Stage("vinnas", seed, "train"),
            Stage("vinnas-magnitude", seed, "search"),
            Stage("vinnas-magnitude", seed, "train"),
        ]
        for seed in (7, 8)
    )
    assert plan(config(first_seed=7)) == [*first, *second]


def test_a_row_that_chooses_again_brings_the_search_that_it_chooses_from():
    assert plan(config(methods=("vinnas-magnitude",), seeds=1)) == [
        Stage("vinnas", 0, "search"),
        Stage("vinnas-magnitude", 0, "search"),
        Stage("vinnas-magnitude", 0, "train"),
    ]


def test_a_row_of_channels_is_a_search_alone_behind_those_that_it_needs():
    planned = plan(config(methods=("pgnas_random-tuned", "pgnas-full", "pgnas"), seeds=1))
    assert [stage.row for stage in planned] == ["pgnas", "pgnas_random", "pgnas_random-tuned", "pgnas-full"]
    assert {stage.name for stage in planned} == {"search"} and all(stage.leaves_figures for stage in planned)


def test_random_masks_have_the_rate_that_keeps_as_many_weights_as_was_learnt(tmp_path):
    settings, random = config(methods=("pgnas_random",)), Stage("pgnas_random", 4, "search")
    assert not any("drop_probability" in flag for flag in stage_flags(random, settings, tmp_path))
    found = random.search_of("pgnas").folder(tmp_path) / "search"
    found.mkdir(parents=True)
    (found / "result.json").write_text('{"candidates": {"equal_rate": 0.30000000000000004}}')
    (found / "masks.json").write_text("{}")
    mark(found, "search")
    for row in ("pgnas_random", "pgnas_random-tuned"):
        flags = stage_flags(Stage(row, 4, "search"), settings, tmp_path)
        assert "--drop_probability=0.30000000000000004" in flags
        assert ("--fine_tuning_epochs=4" in flags) == row.endswith("tuned")
    own = config(methods=("pgnas_random",), search="--drop_probability=0.2")  # Who names a rate gets it.
    flags = stage_flags(random, own, tmp_path)
    assert [flag for flag in flags if "drop_probability" in flag] == ["--drop_probability=0.2"]


def test_the_full_network_has_masks_of_ones(tmp_path):
    flags = stage_flags(Stage("pgnas-full", 0, "search"), config(methods=("pgnas-full",)), tmp_path)
    (probability,) = (float(flag.split("=")[1]) for flag in flags if flag.startswith("--drop_probability"))
    logit = tf.fill([1000], tf.constant(np.log(probability), tf.float32))
    seed = tf.constant([1, 2])
    for mask in (bernoulli_mask(logit, seed, 1000), concrete_mask(logit, seed, 1000, temperature=1.0)):
        assert np.all(mask.numpy() == 1)
    assert np.all(draw_candidate(np.full(100_000, probability), 0, 0))


def test_rows_differ_by_method_ablation_seed_and_folder_alone(tmp_path):
    settings = config(dataset="mnist", data_dir="/d", preset="mnist_laptop", search="--epochs=3 --cells='NR'")
    flags = stage_flags(Stage("vinnas", 4, "search"), settings, tmp_path)
    assert flags == [
        "--dataset=mnist", "--data_dir=/d", "--cells=NR", "--epochs=3", "--method=vinnas", "--seed=4",
        f"--run_dir={tmp_path / 'compare/rows/vinnas-seed4'}",
    ]  # fmt: skip
    ablated = stage_flags(Stage("vinnas-no-entropy", 4, "search"), settings, tmp_path)
    assert set(ablated) ^ set(flags) == {
        "--gamma_entropy=0", flags[-1], f"--run_dir={tmp_path / 'compare/rows/vinnas-no-entropy-seed4'}"
    }  # fmt: skip
    assert ablated.index("--gamma_entropy=0") > ablated.index("--epochs=3")  # A later flag wins.
    # A preset is for whichever command has one of its name.
    train = stage_flags(Stage("vinnas", 4, "train"), settings, tmp_path)
    assert train[:2] == ["--preset=mnist_laptop", "--dataset=mnist"]


def test_by_default_all_methods_are_compared_that_can_search_the_space(tmp_path):
    of_cells = [name for name in METHODS if name not in ("pgnas", "pgnas_random")]  # Those find no cells.
    assert able_methods(config(), tmp_path) == tuple(of_cells)
    of_tables = config(search="--space=nasbench201 --cells=NRN --states=3")
    assert able_methods(config(preset="pgnas_m"), tmp_path) == ("pgnas", "pgnas_random")
    assert able_methods(of_tables, tmp_path) == tuple(name for name in of_cells if name != "bayesnas")


def test_a_method_is_given_the_flags_that_it_reads(tmp_path):
    settings = config(methods=("random", "darts"), search="--epochs=3 --darts_order=2 --states=1")
    random, darts = (stage_flags(Stage(row, 0, "search"), settings, tmp_path) for row in settings.methods)
    assert random[:2] == ["--states=1", "--method=random"]
    assert darts[:4] == ["--states=1", "--epochs=3", "--darts_order=2", "--method=darts"]
    check(settings, tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"preset": "huge"}, "unknown preset 'huge'"),
        ({"search": "--epoch=3"}, "unknown flag --epoch"),
        ({"search": "--epochs=0"}, "epochs must be at least 1"),
        ({"train": "--epochs=3"}, "gamma_end_epoch must be below epochs=3"),
        ({"search": "--seed=3"}, "--search can't have --seed"),
        ({"search": "--states=1 --overwrite"}, "--search can't have --overwrite"),
        ({"train": "--genotype=g.json --run_dir=x"}, "--train can't have --genotype, --run_dir"),
        ({"preset": "mnist_laptop"}, "the search would read digits and the training mnist"),
        ({"train": "epochs"}, "unexpected argument 'epochs'"),
        ({"search": "--darts_order=2"}, "--search has --darts_order, which none of vinnas reads"),
        (
            {"methods": ("pgnas",), "train": "--epochs=3"},
            "--train is not read: the searches of these rows",
        ),
        ({"methods": ("pgnas",), "search": "--cells=N"}, "--search has --cells, which none of pgnas reads"),
        ({"search": "-h"}, "--search can't have --h"),
        ({"dataset": "digits", "search": "--cells=N"}, "--cells=NR has R, which the search's --cells=N has not"),
    ],
)
def test_a_mistake_is_told_before_anything_runs(settings, message, tmp_path):
    with pytest.raises(UserError) as caught:
        check(config(**settings), tmp_path / "run")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_what_is_right_passes(tmp_path):
    check(config(preset="smoke", train="--epochs=4"), tmp_path)
    check(config(dataset="mnist", preset="mnist_laptop"), tmp_path)
    check(config(methods=("pgnas_random-tuned",), preset="pgnas_m", search="--alpha_learning_rate=0.01"), tmp_path)
    check(config(methods=("vinnas-no-entropy", "vinnas-no-kl-alphas"), dataset="digits"), tmp_path)
