"""Rows of a comparison, and the one that chooses again from another's search."""

import numpy as np
import pytest

from vinnas_tf.architecture.found import Found
from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.architecture.posterior import Posterior
from vinnas_tf.architecture.space import VINNAS
from vinnas_tf.compare.rows import choose_again, require_rows
from vinnas_tf.config import DataConfig, SearchConfig
from vinnas_tf.errors import UserError
from vinnas_tf.methods.vinnas import VinnasSettings
from vinnas_tf.run.folder import RunDir, stage_record

NAMES = VINNAS.primitives


@pytest.fixture
def searched(tmp_path):
    """A finished search in which the largest mean is not the largest mean / variance."""
    mean, log_variance = np.full((2, len(NAMES)), -1.0), np.zeros((2, len(NAMES)))
    for edge in range(2):
        mean[edge, NAMES.index("skip")] = 3.0
        mean[edge, NAMES.index("sep_conv_3x3")] = 2.0
        log_variance[edge, NAMES.index("sep_conv_3x3")] = -5.0
    posterior = Posterior(NAMES, 1, {"normal": mean}, {"normal": log_variance})
    path = tmp_path / "vinnas-seed7"
    config = SearchConfig(cells="N", states=1, seed=7)
    with RunDir(
        path, stage="search", settings=[DataConfig(), config, VinnasSettings()], data_fingerprint="f", preset="digits"
    ) as run:  # fmt: skip
        arrays = {"normal/mean": mean, "normal/log_variance": log_variance}
        Found(VINNAS, 1, VINNAS.primitives, arrays).save(
            run.file("posterior.json"), posterior.columns(lambda alpha: alpha)
        )
        run.file("metrics.csv").write_text("epoch,seconds\n1,2.5\n")
        Genotype(1, {"normal": (Edge(2, 0, "sep_conv_3x3"), Edge(2, 1, "sep_conv_3x3"))}).save(
            run.file("genotype.json")
        )
        run.mark_finished()
    return path


def test_it_chooses_by_the_other_rule_and_is_a_search_like_any_other(searched, tmp_path):
    target = tmp_path / "vinnas-magnitude-seed7"
    for _ in range(2):  # The second time there is nothing to do.
        choose_again(searched, {"select": "magnitude"}, target)
        found = Genotype.load(target / "search" / "genotype.json")
        assert {edge.primitive for edge in found.cells["normal"]} == {"skip"}
    for name in ("posterior.json", "metrics.csv"):
        assert (target / "search" / name).read_bytes() == (searched / "search" / name).read_bytes()
    record, original = stage_record(target, "search"), stage_record(searched, "search")
    assert record["settings"] == {**original["settings"], "select": "magnitude"}
    assert (record["preset"], record["data_fingerprint"]) == ("digits", "f")


def test_a_search_that_is_not_finished_is_told(searched, tmp_path):
    (searched / "search" / "finished").unlink()
    with pytest.raises(UserError, match="has no finished search"):
        choose_again(searched, {"select": "magnitude"}, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_an_unknown_row_is_told_with_those_that_are_known():
    require_rows(("vinnas", "vinnas-no-entropy"))
    with pytest.raises(UserError, match=r"--methods knows vinnas, .*vinnas-magnitude.*; got magic, wand\.$"):
        require_rows(("vinnas", "magic", "wand"))
