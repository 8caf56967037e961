import math

import numpy as np
import pytest

from vinnas_tf.architecture.collapse import choice_shares, collapse_warning, mixing_entropy
from vinnas_tf.architecture.posterior import Posterior, select
from vinnas_tf.architecture.space import VINNAS


def posterior_of(mean, cell_type):
    states = {5: 2, 14: 4}[len(mean)]
    flat = np.full(mean.shape, -10.0)
    return Posterior(VINNAS.primitives, states, {cell_type: mean}, {cell_type: flat})


def leading(names, cell_type="normal", states=4):
    """A posterior on whose edges the primitives `names` lead, in order, by ever less."""
    mean = np.zeros((len(VINNAS.edges(states)), 10))
    for edge, name in enumerate(names):
        mean[edge, VINNAS.primitives.index(name)] = 1 - 0.01 * edge
    return posterior_of(mean, cell_type)


def chosen(posterior):
    return select(posterior.scores("snr"), posterior.states, posterior.primitives)


def warning(posterior):
    return collapse_warning(posterior.mean, posterior.primitives, chosen(posterior))


def test_mixing_entropy_runs_from_log_k_to_none_and_counts_every_edge_of_both_cells_once():
    normal = np.array([[1 / 3] * 3, [1.0, 0, 0]])
    reduction = np.array([[2 / 3, 1 / 3, 0]])
    two_to_one = math.log(3) - 2 / 3 * math.log(2)
    expected = (math.log(3) + 0 + two_to_one) / 3
    assert mixing_entropy({"normal": normal, "reduction": reduction}) == pytest.approx(expected)


def test_shares_of_the_leading_primitives():
    posterior = leading(["skip", "max_pool_3x3", "avg_pool_3x3", "zero", "sep_conv_3x3"], states=2)
    assert choice_shares(posterior.mean, posterior.primitives) == pytest.approx({"skip": 0.2, "pool": 0.4, "zero": 0.2})


def test_one_primitive_on_most_edges_of_either_cell_is_a_collapse():
    mixed = ["sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7", "dil_conv_3x3", "conv_7x1_1x7", "max_pool_3x3"]
    seven = leading(["skip"] * 7 + mixed + ["sep_conv_3x3"])
    eight = leading(["skip"] * 8 + mixed)
    assert warning(seven) is None
    assert "skip leads on 8 of 14 edges of the normal cell" in warning(eight)
    both = Posterior(
        primitives=VINNAS.primitives,
        states=4,
        mean={"normal": seven.mean["normal"], "reduction": eight.mean["normal"]},
        log_variance={"normal": seven.log_variance["normal"], "reduction": eight.log_variance["normal"]},
    )
    assert "of the reduction cell" in warning(both)


def test_a_small_cell_with_four_equal_leaders_of_five_is_no_collapse():
    four = leading(["sep_conv_3x3"] * 4 + ["skip"], "reduction", states=2)
    five = leading(["sep_conv_3x3"] * 5, "reduction", states=2)
    assert warning(four) is None
    assert "sep_conv_3x3 leads on 5 of 5" in warning(five)


def test_undecided_searches_seldom_warn():
    warned = 0
    for seed in range(300):
        generator = np.random.default_rng(seed)
        posterior = posterior_of(generator.normal(0, 1e-3, (5, 10)), "reduction")
        warned += warning(posterior) is not None
    assert warned <= 12  # only (3/9)^4 + ... of chance cells hold no parameters at all


def test_only_primitives_without_parameters_is_a_collapse():
    free = ["skip", "max_pool_3x3", "avg_pool_3x3", "zero"]
    lead = leading((free * 4)[:14])
    assert "avg_pool_3x3, max_pool_3x3, skip, zero) lead on the edges" in warning(lead)
    # Convolutions lead only on edges that are not kept: the best two into each state are the first two.
    names = ["skip", "max_pool_3x3"] + sum((["skip", "avg_pool_3x3"] + ["sep_conv_3x3"] * n for n in (1, 2, 3)), [])
    kept = leading(names)
    assert "(avg_pool_3x3, max_pool_3x3, skip) are chosen in the normal cell" in warning(kept)


def test_a_reduction_cell_of_pools_beside_a_normal_cell_of_convolutions_is_fine():
    normal = leading(["sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "skip", "conv_7x1_1x7"], states=2).mean["normal"]
    pools = leading(["max_pool_3x3", "skip", "avg_pool_3x3", "max_pool_3x3", "skip"], states=2).mean["normal"]
    flat = np.full((5, 10), -10.0)
    both = Posterior(VINNAS.primitives, 2, {"normal": normal, "reduction": pools}, {"normal": flat, "reduction": flat})
    assert warning(both) is None
    alone = Posterior(VINNAS.primitives, 2, {"reduction": pools}, {"reduction": flat})
    assert "reduction cell" in warning(alone)
