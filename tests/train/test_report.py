"""What is printed at the end of a training: 80 columns, a dash where nothing is known, and the lowest recalls."""

import pytest

from vinnas_tf.network.pruning import ThresholdPoint
from vinnas_tf.train.report import summary, threshold_advice


def result(classes: int) -> dict:
    """Class k has recall k / classes, and the last class no test image."""
    recall = [k / classes for k in range(classes - 1)] + [None]
    figures = {"accuracy": 0.5, "nll": 1.25, "ece": 0.125, "images": 10, "recall": recall}
    return {
        "class_names": [f"{k} name of a class that goes on and on and on" for k in range(classes)],
        "class_counts": {"train": [12345] * classes, "test": [6789] * (classes - 1) + [0]},
        "test": {name: figures for name in ("dense", "pruned", "fine_tuned", "stripped")},
        **{f"params_{name}": 12_345_678 for name in ("dense", "nonzero", "stored", "stored_nonzero")},
        "flops": {"dense": 1e10, "stripped": 1e10},
    }


@pytest.mark.parametrize("classes", [2, 12, 13, 100])
def test_recall_of_each_class_or_of_the_worst(classes: int) -> None:
    text = summary(result(classes))
    assert max(len(line) for line in text.splitlines()) <= 80
    table = text.split("\n\n")[1].splitlines()[1:]
    if classes <= 12:
        assert [line.split()[0] for line in table] == [str(k) for k in range(classes)]
        assert table[-1].split()[-2:] == ["-", "-"]
        assert table[0].split()[-4:] == ["12,345", "6,789", "0.00%", "0.00%"]
    else:
        assert [line.split()[0] for line in table] == [*map(str, range(12)), str(classes - 12)]
        assert ("of 12.00% or more" in table[-1]) == (classes == 100)


POINTS = [
    ThresholdPoint(3.0, 0.98, 0.01, 900),
    ThresholdPoint(2.0, 0.975, 0.011, 300),
    ThresholdPoint(1.0, 0.5, 0.05, 100),
]


def test_a_sparser_threshold_as_good_as_the_best_is_told_with_what_prunes_there() -> None:
    told = threshold_advice(POINTS, 3.0, fine_tuned=False, prune_again="threshold={:g} prunes again")
    assert max(len(line) for line in told.splitlines()) <= 80
    words = " ".join(told.split())
    assert words.startswith("threshold 3 in use; 2 would leave 300 parameters at an accuracy within one standard error")
    assert "(98.00% +- 1.00%)" in words
    assert "; threshold=2 prunes again." in words


def test_the_best_choice_is_called_so_and_fine_tuning_is_named() -> None:
    words = " ".join(threshold_advice(POINTS, 2.0, fine_tuned=True, prune_again="threshold={:g} prunes again").split())
    assert words.startswith("threshold 2 in use: the sparsest within one standard error")
    assert "before fine-tuning" in words
    assert "prunes again" not in words
