"""What is left of each layer, against its counts."""

from vinnas_tf.compress.units import Units
from vinnas_tf.report.layers import read_layers


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
