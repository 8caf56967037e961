"""The rank correlation against ranks counted by hand."""

import numpy as np
import pytest

from benchmarks.switch_ranks import main, rank_correlations
from vinnas_tf.architecture.found import Found
from vinnas_tf.architecture.space import VINNAS
from vinnas_tf.errors import UserError


def test_it_is_pearsons_of_the_ranks_and_ties_share_theirs() -> None:
    generator = np.random.default_rng(0)
    gamma, strength = generator.random((2, 9)), generator.random((2, 9))
    gamma[0, :3] = 0.0

    def ranks(values: np.ndarray) -> np.ndarray:
        flat = values.ravel()
        return np.array([(flat < one).sum() + 0.5 * ((flat == one).sum() + 1) for one in flat])

    found = Found(VINNAS, 1, VINNAS.primitives[:9], {"normal/gamma": gamma, "normal/strength": strength})
    expected = np.corrcoef(ranks(gamma), ranks(strength))[0, 1]
    assert rank_correlations(found)["normal"] == pytest.approx(expected)
    with pytest.raises(UserError, match="no gammas and switches of method=bayesnas in it"):
        rank_correlations(Found(VINNAS, 1, VINNAS.primitives[:9], {"normal/mean": gamma}))


def test_a_folder_without_a_search_is_one_line(tmp_path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as caught:
        main([str(tmp_path)])
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
