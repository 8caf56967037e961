"""The benchmark of searches of channels: what it brings back from a run folder, and what its tables say."""

import csv
from pathlib import Path

import numpy as np
import pytest

from benchmarks.channel_search import Rows, best_of_many, main, rank, report, to_csv, variants
from benchmarks.restored_search import RestoredSearch, restore
from tests.search.small_channels import CONFIG, SETTINGS, Small
from vinnas_tf.config import DataConfig
from vinnas_tf.data.images import load_train
from vinnas_tf.methods import METHODS
from vinnas_tf.run.folder import RunDir
from vinnas_tf.search.__main__ import search


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[RestoredSearch, Path]:
    """A search of the command, as it is brought back from its run folder, and that."""
    path = tmp_path_factory.mktemp("run")
    data = DataConfig(data_fraction=0.3)
    dataset = load_train(data, CONFIG.seed)
    with RunDir(path, stage="search", settings=[data, CONFIG, SETTINGS], data_fingerprint=dataset.fingerprint) as run:
        search(data, Small(CONFIG, SETTINGS), dataset, run)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(METHODS, "pgnas", Small)
        return restore(path, fine_tuning_epochs=1), path


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_restored_search_judges_candidates_as_the_command_did(finished, tmp_path) -> None:
    found, run_dir = finished
    candidates = rows_of(run_dir / "search" / "candidates.csv")[:40]
    written = [float(row["accuracy"]) for row in candidates]
    rows = best_of_many(found, 40, tmp_path / "more")
    judged = [float(row["accuracy"]) for row in rows_of(tmp_path / "more" / "candidates.csv")]
    np.testing.assert_allclose(judged, written, atol=1e-9)
    whole = [accuracy if row["connected"] == "1" else 0 for accuracy, row in zip(written, candidates, strict=True)]
    expected = {n: max(whole[:n]) for n in (1, 4, 12, 40) if max(whole[:n])}
    assert len(expected) > 2
    assert {row["candidates"]: row["held_out"] for row in rows} == pytest.approx(expected)
    assert all(0 < row["test"] < 1 for row in rows)


def test_candidates_are_ranked_after_fine_tuning_and_not_tuned_again(finished, tmp_path) -> None:
    found, run_dir = finished
    path = tmp_path / "ranking.csv"
    (row,) = rank(found, 1, path)
    assert row["before"] == float(rows_of(run_dir / "search" / "candidates.csv")[0]["accuracy"])
    assert row["after"] != row["before"]
    path.write_text("index,before,after\n0,0.25,0.5\n")
    assert rank(found, 1, path) == [{"index": 0, "before": 0.25, "after": 0.5}]


def test_the_tables_are_means_and_spearmans_correlation() -> None:
    row: dict[str, int | float | None] = {
        "rate": 0.2, "weights_kept": 0.5, "parameters": 1000, "candidates_mean": 0.4, "candidates_std": 0.01,
        "best": 0.45, "test": 0.43,
    }  # fmt: skip
    searches: dict[str, Rows] = {"pgnas": [{"seed": 0, **row}, {"seed": 1, **row, "test": 0.45, "parameters": 2000}]}
    best_of: list[Rows] = [
        [{"candidates": 6, "held_out": 0.5, "test": 0.4}],
        [{"candidates": 6, "held_out": 0.6, "test": 0.5}],
    ]
    # Ranks 1 2 3 4 against 2 1 3 4: 1 - 6 * (1 + 1) / (4 * 15).
    ranked: Rows = [
        {"index": n, "before": b, "after": a} for n, (b, a) in enumerate([(1, 20), (2, 10), (3, 30), (4, 40)])
    ]
    text = report(searches, best_of, [ranked])
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    assert ["pgnas", "2", "0.200", "50.0%", "1,500", "40.00% ± 1.00%", "45.00%", "44.00%"] in lines
    assert ["6", "2", "55.00%", "45.00%"] in lines
    (correlation,) = [line[3] for line in lines if line[:1] == ["4"]]
    assert correlation == "0.80"
    assert to_csv(searches).splitlines()[1].startswith("pgnas,0,0.2,0.5,1000,")


def test_priors_are_a_tenth_and_ten_times_the_presets() -> None:
    flags = [flag for more in variants("digits").values() for flag in more]
    assert {"--prior_precision=0.05", "--prior_precision=5"} < set(flags)


def test_a_mistake_is_one_line(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    for flag, message in (("--ranked=0", "--ranked must be at least 1"), ("--preset=huge", "unknown preset 'huge'")):
        with pytest.raises(SystemExit) as stop:
            main([flag, f"--run_dir={tmp_path}"])
        assert stop.value.code == 2
        assert message in capsys.readouterr().err.splitlines()[-1]
