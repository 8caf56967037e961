"""The page is written again when there is something new, and only then."""

import pytest

from tests.report.runs import write_search
from vinnas_tf.errors import UserError
from vinnas_tf.report.__main__ import main
from vinnas_tf.report.watch import Writer, watch
from vinnas_tf.run.files import read_metrics, write_metrics


def test_an_epoch_writes_the_page_again(tmp_path):
    """`wait` stands for the time between two looks, in which other processes write."""
    folder = tmp_path / "run"
    write_search(folder, finished=False)
    page, metrics = folder / "report.html", folder / "search" / "metrics.csv"
    rows = read_metrics(metrics)
    write_metrics(metrics, rows[:2])
    seen = []

    def wait() -> None:
        text = page.read_text()
        seen.append((page.stat().st_mtime_ns, "epoch 2 of 4" in text, "epoch 3 of 4" in text))
        if len(seen) == 2:
            write_metrics(metrics, rows[:3])
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch(Writer([folder], page), wait)
    first, second, third = seen
    assert first == second
    assert third[0] > second[0]


def test_what_can_not_be_read_just_now_is_tried_again(tmp_path, capsys):
    folder = tmp_path / "run"
    write_search(folder, finished=False)
    metrics = folder / "search" / "metrics.csv"
    good = metrics.read_bytes()
    metrics.write_text("epoch\nx\n")
    looks = []

    def wait() -> None:
        looks.append((folder / "report.html").exists())
        if len(looks) == 2:
            raise KeyboardInterrupt
        metrics.write_bytes(good)

    with pytest.raises(KeyboardInterrupt):
        watch(Writer([folder], folder / "report.html"), wait)
    assert looks == [False, True]
    assert "can't be read as figures" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "run_dir is empty: name a run folder"),
        (["--run_dir=nothing"], "nothing is no run folder, and holds none"),
        (["--run_dir=a,a"], "run_dir names a folder twice"),
    ],
)
def test_a_mistake_is_told_in_one_line(flags, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        main(flags)
