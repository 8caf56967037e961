"""The curve of a compression, against its points."""

import pytest

from tests.report.runs import write_curve
from vinnas_tf.report.curves import read_compression
from vinnas_tf.report.folder import RunFolder


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
