"""Several runs: figures of the table and the plot, against the files."""

from dataclasses import replace

from tests.report.runs import write_result, write_search
from vinnas_tf.compare.statistics import Result, to_csv
from vinnas_tf.config import CompareConfig
from vinnas_tf.report.part import Chart, Missing
from vinnas_tf.report.several import read_several
from vinnas_tf.run.folder import RunDir


def cells(line, several):
    return dict(zip(several.header[1:], line.cells, strict=True))


def test_each_run_has_its_figures_and_a_point_with_its_name(tmp_path):
    write_result(tmp_path / "a", 0.875, 1234, seed=5)
    write_search(tmp_path / "b", "darts", finished=False)
    several = read_several([tmp_path / "a", tmp_path / "b"], [tmp_path], tmp_path / "report.html")
    first, second = several.lines
    of_first, of_second = cells(first, several), cells(second, several)
    assert (first.name, of_first["seed"], of_first["test accuracy"]) == ("a", "5", "87.50")
    assert (of_first["parameters not 0"], of_first["MFLOPs"], of_first["train min"]) == ("1,234", "2.50", "1.5")
    assert (of_second["method"], of_second["test accuracy"], of_second["search min"]) == ("darts", "-", "2.0")
    assert isinstance(several.chart, Chart)
    (series,) = several.chart.series
    assert (list(series.x), list(series.y), several.chart.names) == ([1234], [87.5], ("a",))


def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path):
    paths = [tmp_path / "a" / "run", tmp_path / "javascript:b" / "run"]
    for path in paths:
        write_result(path, 0.5, 10)
    (paths[1] / "report.html").write_text("")
    several = read_several(paths, paths, tmp_path / "report.html")
    assert [(line.name, line.link) for line in several.lines] == [
        ("a/run", ""),
        ("javascript:b/run", "javascript%3Ab/run/report.html"),  # A link to a file, and no script.
    ]


def test_a_damaged_run_does_not_hide_the_others(tmp_path):
    for name in ("a", "b"):
        write_result(tmp_path / name, 0.5, 10)
    (tmp_path / "a" / "train" / "result.json").write_text("{}")
    several = read_several([tmp_path / "a", tmp_path / "b"], [tmp_path], tmp_path / "report.html")
    assert "result.json is not the file that the stage wrote" in several.lines[0].error
    assert several.warnings == [f"a: {several.lines[0].error}"]
    assert cells(several.lines[1], several)["test accuracy"] == "50.00"


def test_a_benchmark_adds_the_published_accuracy_of_each_cell(tmp_path):
    write_search(tmp_path / "12_epochs" / "darts-seed3", "darts")
    write_search(tmp_path / "36_epochs" / "darts-seed3", "darts")
    for folder, accuracy in (("12_epochs", 83.5), ("36_epochs", 70.25)):
        (tmp_path / folder / "results.csv").write_text(
            f"row,seed,code,seconds,accuracy,rank\ndarts,3,111111,60,{accuracy},9\n"
        )
    folders = [tmp_path / "12_epochs" / "darts-seed3", tmp_path / "36_epochs" / "darts-seed3"]
    several = read_several(folders, [tmp_path], tmp_path / "report.html")
    assert [cells(line, several)["published accuracy"] for line in several.lines] == ["83.50", "70.25"]
    assert isinstance(several.chart, Chart)
    assert list(several.chart.series[0].y) == [83.5, 70.25]
    assert list(several.chart.series[0].x) == [2.0, 2.0]


def test_a_comparison_has_its_means_in_the_words_of_the_command(tmp_path):
    one = Result("vinnas", 0, 0.9, 1000, 60.0, 30.0, 0.25, "x")
    with RunDir(tmp_path, stage="compare", settings=[CompareConfig()], data_fingerprint="") as run:
        run.file("comparison.csv").write_text(to_csv([one, replace(one, seed=1, accuracy=0.8)]))
        run.file("rows").mkdir()
    write_result(tmp_path / "compare" / "rows" / "vinnas-seed0", 0.9, 1000)
    folders = [tmp_path / "compare" / "rows" / "vinnas-seed0"]
    table, legend = read_several(folders, [tmp_path], tmp_path / "report.html").summary
    assert table.rows[0][:4] == ["vinnas", "2", "85.00 ± 7.07", "90.00"]
    assert legend.startswith("accuracy: of the pruned and stripped network on the test images")


def test_without_a_finished_network_there_is_no_plot(tmp_path):
    write_search(tmp_path / "b", finished=False)
    assert isinstance(read_several([tmp_path / "b"], [tmp_path], tmp_path / "report.html").chart, Missing)
