"""The terms of the objective, against metrics.csv."""

from tests.report.runs import read_csv, write_search
from vinnas_tf.report.folder import RunFolder
from vinnas_tf.report.objective import read_objectives


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
