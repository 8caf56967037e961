"""The figures of charts, against the files that they are of."""

import pytest

from tests.report.runs import read_csv, write_curve, write_search
from vinnas_tf.compress.units import Units
from vinnas_tf.report.figures import read_compression, read_layers, read_objectives
from vinnas_tf.report.folder import RunFolder


def test_terms_are_those_of_metrics_csv_under_the_words_of_the_terminal(tmp_path):
    write_search(tmp_path / "run")
    (objective,) = read_objectives(RunFolder(tmp_path / "run"), "search")
    header, *rows = read_csv(tmp_path / "run" / "search" / "metrics.csv")
    of = {name: [row[header.index(name)] for row in rows] for name in header}
    terms, accuracies = objective.charts
    assert {series.name: [*map(str, series.y)] for series in terms.series} == {
        "CE": of["cross_entropy"],
        "KL(a)": of["kl_alphas_weighted"],
    }
    acc_w, acc_a = accuracies.series
    assert (acc_w.name, acc_a.name) == ("acc w", "acc a")
    assert acc_a.x == [2, 3, 4]  # The first epoch has none.
    assert acc_a.y == [100 * float(value) for value in of["alpha_accuracy"] if value]
    assert objective.legend.startswith("CE: cross-entropy of the weight steps.")
    assert len(objective.table.rows) == 4


@pytest.mark.parametrize("chosen", [1e-5, None])
def test_a_compression_shows_its_curve_and_the_point_that_is_taken(chosen, tmp_path):
    points = write_curve(tmp_path, chosen)
    run = RunFolder(tmp_path)
    curve = read_compression(run, run.json("compress", "result.json"))
    assert list(curve.points) == [(point.parameters, 100 * point.accuracy) for point in points]
    assert list(curve.titles) == ["as it came", "penalty 1e-05", "penalty 0.0001"]
    assert "1,500 bytes" in curve.told[1] and curve.told[2].endswith("the network is cut")
    assert curve.used == (1 if chosen else 0)
    assert curve.advice == (
        "penalty 1e-05: the smallest within max_accuracy_loss=0.01." if chosen else "No point is taken yet."
    )


def test_layers_show_weights_and_channels_that_are_left():
    layers = {
        "a": {"weights_dense": 200, "weights_nonzero": 50, "params_stored": 60},
        "bn": {"weights_dense": 0, "weights_nonzero": 0, "params_stored": 0},
        "b": {"weights_dense": 100, "weights_nonzero": 100, "params_stored": 110},
    }
    result = {"layers": layers, "weights_dense": 300, "weights_nonzero": 150}
    title, rows = read_layers(result, [Units("a", 3, 2, 8, 4)])
    assert title == "150 of 300 weights left (50.0%)"
    assert [(row.name, row.width, row.left, row.told, row.channels) for row in rows] == [
        ("a", 100.0, 25.0, "50 of 200 (25%)", ("2 of 3", "4 of 8")),
        ("b", 50.0, 50.0, "100 of 100 (100%)", ("-", "-")),
    ]
