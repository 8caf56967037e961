"""What a comparison does in which order, with which command lines, and what it refuses before it starts."""

import pytest

from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.compare.__main__ import Stage, able_methods, check, main, plan, seconds_left, stage_flags, warn_of_found
from vinnas_tf.config import CompareConfig
from vinnas_tf.errors import UserError
from vinnas_tf.methods import METHODS


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
    of_cells = [name for name in METHODS if name not in ("pgnas", "pgnas_random")]  # Those leave no cells to train.
    assert able_methods(config(), tmp_path) == tuple(of_cells)
    of_tables = config(search="--space=nasbench201 --cells=NRN --states=3")
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


def test_unfit_test_images_are_told_before_the_first_search(unfit_test_images, tmp_path):
    flags = [f"--dataset=folder:{unfit_test_images}", "--preset=smoke", f"--run_dir={tmp_path / 'run'}"]
    with pytest.raises(UserError, match="is 8 x 8, .* is 9 x 9 pixels; pass image_size=8 "):
        main(flags)
    assert not list((tmp_path / "run").rglob("*-seed*"))


def test_what_is_right_passes(tmp_path):
    check(config(preset="smoke", train="--epochs=4"), tmp_path)
    check(config(dataset="mnist", preset="mnist_laptop"), tmp_path)
    check(config(methods=("vinnas-no-entropy", "vinnas-no-kl-alphas"), dataset="digits"), tmp_path)


@pytest.mark.parametrize(("primitive", "warned"), [("skip", True), ("sep_conv_3x3", False)])
def test_a_found_cell_in_which_nothing_learns_is_told(primitive, warned, tmp_path, capsys):
    stage = Stage("darts", 3, "train")
    found = stage.folder(tmp_path) / "search"
    found.mkdir(parents=True)
    Genotype(1, {"normal": (Edge(2, 0, primitive), Edge(2, 1, "max_pool_3x3"))}).save(found / "genotype.json")
    warn_of_found(stage, tmp_path)
    assert ("warning: nothing learns in the normal cell of darts, seed 3." in capsys.readouterr().out) == warned


def test_the_time_left_is_that_of_like_stages():
    seen = {Stage("a", 0, "search"): 10.0, Stage("b", 0, "search"): 2.0, Stage("a", 0, "train"): 5.0}
    assert seconds_left([], seen) == 0
    assert seconds_left([Stage("a", 1, "search"), Stage("a", 1, "train")], seen) == 15
    assert seconds_left([Stage("c", 0, "search"), Stage("b", 0, "train")], seen) == (10 + 2) / 2 + 5
    assert seconds_left([Stage("a", 0, "train")], {Stage("a", 0, "search"): 1.0}) is None
