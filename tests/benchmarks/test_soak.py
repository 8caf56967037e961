"""What the soak benchmark calls growth."""

import pytest

from benchmarks.soak import Sample, grown


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (Sample(1000, 7), ""),
        (Sample(1019, 7), ""),
        (Sample(1021, 7), "memory by 2.1%"),
        (Sample(1000, 8), "open files by 1"),
        (Sample(2000, 9), "memory by 100.0% and open files by 2"),
    ],
)
def test_only_what_grows_after_the_tenth_epoch_counts(after: Sample, expected: str) -> None:
    begins = [Sample(100 * epoch, epoch) for epoch in range(1, 8)]
    settled = [Sample(1000, 7)] * 3
    assert grown([*begins, *settled, after]) == expected
