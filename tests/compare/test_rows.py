"""Rows of a comparison: which there are, and which go together."""

import pytest

from vinnas_tf.compare.rows import known_rows, require_rows
from vinnas_tf.errors import UserError
from vinnas_tf.methods import METHODS


def test_a_row_goes_on_from_one_of_its_own_method_with_other_flags():
    rows = known_rows()
    assert set(METHODS) <= set(rows)
    for row in rows.values():
        if row.epochs_of:
            source = rows[row.epochs_of]
            assert (source.method, source.rate_of) == (row.method, row.rate_of)
            assert source.flags != row.flags


def test_an_unknown_row_is_told_with_those_that_are_known():
    require_rows(("vinnas", "vinnas-no-entropy"))
    with pytest.raises(UserError, match=r"--methods knows vinnas, .*vinnas-magnitude.*; got magic, wand\.$"):
        require_rows(("vinnas", "magic", "wand"))


def test_rows_of_cells_and_of_channels_do_not_mix():
    require_rows(("pgnas", "pgnas_random", "pgnas-full"))
    with pytest.raises(UserError, match="--methods: pgnas, pgnas-full search the channels .* the others cells"):
        require_rows(("pgnas", "vinnas", "pgnas-full"))
