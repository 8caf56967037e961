import pytest

from vinnas_tf.config import DeviceConfig
from vinnas_tf.errors import UserError


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"devices": "0"}, "devices must be a number of at least 1, or all, got '0'"),
        ({"devices": "two"}, "devices must be a number of at least 1, or all, got 'two'"),
        ({"devices": 1.5}, "devices must be a number of at least 1, or all, got '1.5'"),
        ({"precision": "bfloat16"}, "precision must be float32 or mixed_bfloat16, got 'bfloat16'"),
        ({"jit_compile": "yes"}, "jit_compile must be auto or on or off, got 'yes'"),
        ({"jit_compile": "on", "devices": 2}, "jit_compile=on takes one device, got devices=2"),
        ({"float32_precision": "high"}, "float32_precision must be tf32 or highest, got 'high'"),
    ],
)
def test_a_bad_value_is_refused_in_one_line(setting, message) -> None:
    with pytest.raises(UserError, match=message):
        DeviceConfig(**setting)


def test_a_program_may_give_a_number_and_keeps_its_other_settings() -> None:
    settings = {"devices": 2, "precision": "mixed_bfloat16", "epochs": 3}
    assert DeviceConfig.taken_from(settings) == DeviceConfig(devices="2", precision="mixed_bfloat16")
    assert settings == {"epochs": 3}
