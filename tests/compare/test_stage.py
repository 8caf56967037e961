"""The work of a comparison: what is told of it, and read from it."""

import pytest

from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.compare.__main__ import main
from vinnas_tf.compare.plan import Stage
from vinnas_tf.compare.stage import seconds_left, warn_of_found
from vinnas_tf.errors import UserError


def test_unfit_test_images_are_told_before_the_first_search(unfit_test_images, tmp_path):
    flags = [f"--dataset=folder:{unfit_test_images}", "--preset=smoke", f"--run_dir={tmp_path / 'run'}"]
    with pytest.raises(UserError, match="is 8 x 8, .* is 9 x 9 pixels; pass image_size=8 "):
        main(flags)
    assert not list((tmp_path / "run").rglob("*-seed*"))


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
