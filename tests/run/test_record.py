"""What of a record binds the run that goes on from it."""

import dataclasses
from typing import Any

import pytest

from vinnas_tf.config import DeviceConfig
from vinnas_tf.run.record import changes_between

FINGERPRINT = "0" * 64


def record(**settings: Any) -> dict[str, Any]:
    return {"settings": {"seed": 0, **settings}, "data_fingerprint": FINGERPRINT}


def of(**device: Any) -> dict[str, Any]:
    return record(**dataclasses.asdict(DeviceConfig(**device)))


@pytest.mark.parametrize("other", [{"devices": "4"}, {"devices": "all"}, {"deterministic": True}])
def test_a_run_may_go_on_with_other_devices(other) -> None:
    assert changes_between(of(), of(**other)) == []


@pytest.mark.parametrize(
    ("other", "change"),
    [
        ({"precision": "mixed_bfloat16"}, 'precision "float32" -> "mixed_bfloat16"'),
        ({"float32_precision": "highest"}, 'float32_precision "tf32" -> "highest"'),
        ({"jit_compile": "off"}, 'jit_compile "auto" -> "off"'),
    ],
)
def test_it_may_not_with_another_precision_and_neither_may_one_of_an_earlier_version(other, change) -> None:
    assert changes_between(of(), of(**other)) == [change]
    assert changes_between(record(), of(**other)) == [change]
    assert changes_between(record(), of()) == []
