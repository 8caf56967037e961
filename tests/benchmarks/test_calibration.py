"""Choice probabilities against what other seeds chose: by hand, and where the right answer is known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike
from PIL import Image

from benchmarks.calibration import Search, best_factor, draw, load, main, reliability, table
from vinnas_tf.architecture.found import Found
from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.architecture.posterior import Posterior, select
from vinnas_tf.architecture.space import VINNAS
from vinnas_tf.config import DataConfig, SearchConfig
from vinnas_tf.methods.vinnas import VinnasSettings
from vinnas_tf.run.folder import RunDir

THREE = ("sep_conv_3x3", "skip", "zero")


def searched(mean: ArrayLike, deviation: float) -> Search:
    """A search of cells of one state, which keeps both its edges: each choice is between two primitives."""
    mean = np.asarray(mean, float)
    log_variance = np.full_like(mean, 2 * np.log(deviation))
    posterior = Posterior(THREE, 1, {"normal": mean}, {"normal": log_variance})
    chosen = mean[:, :2].argmax(axis=-1)[:, None] == np.arange(3)
    return Search(SearchConfig(), None, posterior, lambda alpha: alpha, chosen)


def test_reliability_of_three_sure_searches_by_hand() -> None:
    # On the first edge all choose the convolution, on the second one of three does.
    searches = [searched([[1, 0, 9], [second, 0, 9]], 1e-6) for second in (1, -1, -1)]
    found = reliability(searches, 1.0)
    # 6 ordered pairs x 2 edges x 2 primitives, all probabilities 0 or 1. Of the 6 sure choices on the second edge 2
    # recur: both of the pair of the searches that agree.
    assert found.counts.tolist() == [12, *[0] * 8, 12]
    assert found.recurred[-1] == pytest.approx((6 + 2) / 12)
    assert found.recurred[0] == pytest.approx(4 / 12)
    assert found.error == pytest.approx(8 / 24)
    assert found.gap == pytest.approx(8 / 24)


def test_the_factor_is_found_by_which_a_posterior_is_too_narrow() -> None:
    """Seeds scatter alpha with deviation 0.5, so another seed lies within 0.5 sqrt(2); the posterior tells a fourth."""
    generator = np.random.default_rng(0)
    spread = 0.5

    def searches(count: int) -> list[Search]:
        truth = generator.normal(size=(2, 3))
        return [searched(truth + spread * generator.normal(size=(2, 3)), spread * 2**0.5 / 4) for _ in range(count)]

    # Of one truth seeds are few; a mean over many truths shows the factor.
    errors = {}
    groups = [searches(6) for _ in range(40)]
    for factor in (1.0, 2.0, 4.0, 8.0, 16.0):
        errors[factor] = np.mean([reliability(group, factor).error for group in groups])
    assert min(errors, key=errors.get) == 4.0
    narrow, right = (np.mean([reliability(group, factor).gap for group in groups]) for factor in (1.0, 4.0))
    assert right < narrow
    # A group whose seeds all agree asks for the least factor there is, so the middle one counts.
    assert 2.5 < np.median([best_factor(group) for group in groups[:15]]) < 6.0


def write(path: Path, seed: int, mean: np.ndarray, log_variance: float = -10.0, **settings: Any) -> None:
    with RunDir(
        path,
        stage="search",
        settings=[DataConfig(), SearchConfig(cells="N", states=1, seed=seed, **settings), VinnasSettings()],
        data_fingerprint="f",
    ) as run:
        posterior = Posterior(VINNAS.primitives, 1, {"normal": mean}, {"normal": np.full_like(mean, log_variance)})
        arrays = {"normal/mean": mean, "normal/log_variance": np.full_like(mean, log_variance)}
        Found(VINNAS, 1, VINNAS.primitives, arrays).save(
            run.file("posterior.json"), posterior.columns(lambda alpha: alpha)
        )
        select({"normal": mean}, 1, VINNAS.primitives).save(run.file("genotype.json"))
        run.mark_finished()


def test_the_command_reads_run_folders_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    generator = np.random.default_rng(1)
    for seed in range(4):
        write(tmp_path / f"vinnas-seed{seed}", seed, generator.normal(0, 0.1, (2, 10)))
    (first, *_) = load(str(tmp_path / "vinnas-seed*"))
    genotype = Genotype.load(tmp_path / "vinnas-seed0" / "search" / "genotype.json")
    places = [(edge, name) for edge in ((0, 2), (1, 2)) for name in VINNAS.primitives]
    made = [place for place, yes in zip(places, first.chosen.ravel(), strict=True) if yes]
    assert {Edge(target, source, name) for (source, target), name in made} == set(genotype.cells["normal"])
    main([f"--fit={tmp_path}/vinnas-seed[01]", f"--test={tmp_path}/vinnas-seed[23]", f"--output={tmp_path}/r.png"])
    printed = capsys.readouterr().out
    assert "2 searches to choose on, 2 to judge by." in printed
    assert Image.open(tmp_path / "r.png").size[0] > 1000


def test_searches_that_cannot_be_held_against_each_other_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    mean = np.random.default_rng(1).normal(0, 0.1, (2, 10))
    for seed in range(2):
        write(tmp_path / f"a-seed{seed}", seed, mean)
        write(tmp_path / f"point-seed{seed + 2}", seed + 2, mean, log_variance=-np.inf)
    write(tmp_path / "other-seed7", 7, mean, epochs=3)
    for fit, test, message in (
        ("none*", "a-*", "names 0 run folders"),
        ("a-*", "a-*", "--fit and --test both have seed 0"),
        ("[ao]*", "a-*", "differ in more than their seeds"),
        ("a-*", "point-*", "deterministic alphas"),
    ):
        with pytest.raises(SystemExit) as stop:
            main([f"--fit={tmp_path}/{fit}", f"--test={tmp_path}/{test}"])
        assert stop.value.code == 2
        assert message in capsys.readouterr().err


def test_the_table_has_a_line_a_bin(tmp_path: Path) -> None:
    one = reliability([searched([[1, 0, 9], [1, 0, 9]], 0.5), searched([[1, 0, 9], [-1, 0, 9]], 0.5)], 1.0)
    lines = table({"as searched": one}).splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:12]]
    for row, predicted, recurred, count in zip(rows, one.predicted, one.recurred, one.counts, strict=True):
        assert row[1:] == ([f"{predicted:.2f}", f"{recurred:.2f}", str(count)] if count else ["–", "–", "0"])
    draw({"as searched": one}, tmp_path / "r.png")
    assert lines[-1].endswith(f"mean squared error {one.error:.4f}.")
