import itertools
import json
import math

import numpy as np
import pytest
from scipy import special

from vinnas_tf.architecture.found import Found
from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.architecture.posterior import (
    Posterior,
    choice_probabilities,
    select,
    softmax,
)
from vinnas_tf.architecture.space import NASBENCH201, VINNAS, Choice
from vinnas_tf.config import SELECTION_RULES
from vinnas_tf.errors import UserError

THREE = ("sep_conv_3x3", "skip", "zero")


def make(mean, log_variance=-10.0, primitives=THREE, states=2, cell_type="reduction"):
    mean = np.array(mean, np.float64)
    return Posterior(
        primitives=primitives,
        states=states,
        mean={cell_type: mean},
        log_variance={cell_type: np.broadcast_to(np.array(log_variance, np.float64), mean.shape)},
    )


def random_posterior(seed=0, states=4, scale=0.3):
    generator = np.random.default_rng(seed)
    shape = (len(VINNAS.edges(states)), len(VINNAS.primitives))
    cells = ("normal", "reduction")
    return Posterior(
        primitives=VINNAS.primitives,
        states=states,
        mean={name: generator.normal(0, scale, shape).astype(np.float32) for name in cells},
        log_variance={name: generator.uniform(-10, -1, shape).astype(np.float32) for name in cells},
    )


def itself(alpha):
    """The score of a method that ranks by alpha."""
    return alpha


def chosen(posterior, rule="snr"):
    return select(posterior.scores(rule), posterior.states, posterior.primitives)


def test_edges_run_by_target_and_then_by_source():
    assert VINNAS.edges(2) == ((0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
    assert len(VINNAS.edges(4)) == 14


def test_snr_is_mean_over_variance_not_over_deviation():
    posterior = make(np.full((5, 3), -0.2), log_variance=math.log(0.04))
    np.testing.assert_allclose(posterior.variance("reduction"), 0.04)
    np.testing.assert_allclose(posterior.snr("reduction"), -5.0)


def test_select_on_a_cell_worked_by_hand():
    scores = np.array(
        [
            [0.1, 0.2, 9.0],  # 0 -> 2: skip, the only other input stays too
            [0.4, 0.3, 0.0],  # 1 -> 2: sep_conv
            [0.5, 0.1, 0.9],  # 0 -> 3: sep_conv, second best edge
            [0.2, 0.3, 9.0],  # 1 -> 3: third best whatever zero says
            [0.0, 0.8, 0.1],  # 2 -> 3: skip, best edge
        ]
    )
    assert select({"reduction": scores}, 2, THREE) == Genotype(
        2,
        {
            "reduction": (
                Edge(2, 0, "skip"),
                Edge(2, 1, "sep_conv_3x3"),
                Edge(3, 0, "sep_conv_3x3"),
                Edge(3, 2, "skip"),
            )
        },
    )


@pytest.mark.parametrize("seed", range(5))
def test_select_maximises_the_summed_score_over_all_architectures(seed):
    # Enumerates every way to keep two edges a state with one primitive each; keeping the best two is the maximum.
    scores = np.random.default_rng(seed).normal(size=(9, 4))
    primitives = ("sep_conv_3x3", "zero", "max_pool_3x3", "skip")
    edges = VINNAS.edges(3)
    expected = []
    for target in (2, 3, 4):
        rows = [row for row, edge in enumerate(edges) if edge[1] == target]
        candidates = [
            (scores[a, k] + scores[b, m], ((a, k), (b, m)))
            for a, b in itertools.combinations(rows, 2)
            for k, m in itertools.product((0, 2, 3), repeat=2)
        ]
        expected += [Edge(target, edges[row][0], primitives[k]) for row, k in max(candidates)[1]]
    assert select({"normal": scores}, 3, primitives).cells["normal"] == tuple(expected)


def test_ties_go_to_the_earlier_edge_and_primitive():
    flat = select({"normal": np.zeros((9, 3))}, 3, THREE)
    assert flat.cells["normal"] == tuple(
        Edge(target, source, "sep_conv_3x3") for target in (2, 3, 4) for source in (0, 1)
    )


def test_rules_differ_where_a_large_mean_is_uncertain():
    mean = np.tile([0.5, 0.1, 0.0], (5, 1))
    posterior = make(mean, log_variance=np.log([1.0, 0.01, 1.0]))
    assert {edge.primitive for edge in chosen(posterior, "magnitude").cells["reduction"]} == {"sep_conv_3x3"}
    assert {edge.primitive for edge in chosen(posterior, "snr").cells["reduction"]} == {"skip"}
    for rule in SELECTION_RULES:
        assert posterior.scores(rule)["reduction"].shape == (5, 3)


def test_a_score_that_is_not_a_number_is_refused():
    scores = np.zeros((5, 3))
    scores[3, 1] = np.nan
    with pytest.raises(UserError, match="reduction cell is not a number"):
        select({"reduction": scores}, 2, THREE)


def test_probability_of_two_choices_is_the_gaussian_integral():
    # P(alpha_1 > alpha_2) = Phi((m1 - m2) / sqrt(v1 + v2)); state 2 keeps both its edges, so nothing else matters.
    mean, variance = np.array([0.30, 0.10, 5.0]), np.array([0.04, 0.09, 0.01])
    posterior = make(np.tile(mean, (2, 1)), np.log(variance), states=1)
    analytic = 0.5 * (1 + math.erf((0.30 - 0.10) / math.sqrt(0.04 + 0.09) / math.sqrt(2)))
    samples = 100_000
    tolerance = 4 * math.sqrt(analytic * (1 - analytic) / samples)
    probability = choice_probabilities(posterior, itself, samples=samples)["reduction"]
    np.testing.assert_allclose(probability, np.tile([analytic, 1 - analytic, 0.0], (2, 1)), atol=tolerance)


def test_probability_that_an_edge_is_kept_is_the_gaussian_integral():
    # Of the edges into state 3, 0 -> 3 surely stays, and 1 -> 3 beats 2 -> 3 where one Gaussian exceeds another.
    mean = np.full((5, 3), -1e6)
    mean[:, 0] = [0, 0, 100, 0.2, 0.5]
    posterior = make(mean, np.log(0.25))
    analytic = 0.5 * (1 + math.erf((0.2 - 0.5) / math.sqrt(0.5) / math.sqrt(2)))
    samples = 100_000
    tolerance = 4 * math.sqrt(analytic * (1 - analytic) / samples)
    kept = choice_probabilities(posterior, itself, samples=samples)["reduction"].sum(axis=-1)
    np.testing.assert_allclose(kept, [1, 1, 1, analytic, 1 - analytic], atol=tolerance)


def test_probabilities_are_frequencies_of_selections_sample_by_sample():
    posterior = random_posterior(scale=0.05)
    samples, generator = 50, np.random.default_rng(3)
    edges = VINNAS.edges(4)
    for cell_type, probability in choice_probabilities(posterior, itself, samples=samples, seed=3).items():
        counts = np.zeros_like(probability)
        noise = generator.standard_normal((samples, 14, 10))
        for draw in posterior.mean[cell_type] + np.sqrt(posterior.variance(cell_type)) * noise:
            for edge in select({cell_type: draw}, 4, VINNAS.primitives).cells[cell_type]:
                counts[edges.index((edge.source, edge.target)), VINNAS.primitives.index(edge.primitive)] += 1
        np.testing.assert_array_equal(probability, counts / samples)
        assert (probability[:, -1] == 0).all()


def test_without_variance_probabilities_are_the_choice_by_magnitude():
    posterior = random_posterior()
    points = Posterior(
        primitives=VINNAS.primitives,
        states=4,
        mean=posterior.mean,
        log_variance={name: np.full((14, 10), -np.inf) for name in posterior.mean},
    )
    edges = VINNAS.edges(4)
    genotype = chosen(points, "magnitude")
    for cell_type, probability in choice_probabilities(points, itself, samples=3).items():
        found = {Edge(edges[e][1], edges[e][0], VINNAS.primitives[k]) for e, k in np.argwhere(probability == 1)}
        assert found == set(genotype.cells[cell_type])
        assert probability.sum() == 8


def test_a_score_ranks_draws_in_its_own_way():
    # By alpha the edge 1 -> 3 is the worst; by mixing weight it is the best, for the others are undecided.
    mean = [[0, 0, -9], [0, 0, -9], [9, 9, 9], [5, -5, -5], [9, 9, 9]]
    posterior = make(mean, -np.inf, states=2)
    assert choice_probabilities(posterior, itself, samples=1)["reduction"][3].sum() == 0
    assert choice_probabilities(posterior, softmax, samples=1)["reduction"][3].tolist() == [1, 0, 0]


def test_in_nasbench201_every_edge_is_kept_with_its_best_operation_other_than_zero():
    scores = np.tile([9.0, 1, 2, 3, 0], (6, 1))
    scores[3, 1] = 5  # skip on 0 -> 3
    genotype = select({"normal": scores}, 3, NASBENCH201.primitives, NASBENCH201)
    kept = {(edge.source, edge.target): edge.primitive for edge in genotype.cells["normal"]}
    assert kept == dict.fromkeys(NASBENCH201.edges(3), "conv_3x3") | {(0, 3): "skip"}


def test_softmax_is_that_of_scipy_and_takes_large_numbers():
    alpha = np.random.default_rng(0).normal(0, 400, (2, 5, 10))
    np.testing.assert_allclose(softmax(alpha), special.softmax(alpha, axis=-1), rtol=1e-12, atol=1e-300)


def test_any_number_of_edges_and_operations_can_be_asked_for():
    scores = np.array([[0.4, 0.3, 0.9], [0.1, 0.2, 0.9]])  # The last column is zero's.
    everything = select({"reduction": scores}, 1, THREE, choice=Choice(None, None))
    assert {(edge.source, edge.primitive) for edge in everything.cells["reduction"]} == set(
        itertools.product((0, 1), THREE[:2])
    )
    best = select({"reduction": scores}, 1, THREE, choice=Choice(1, None))
    assert [(edge.source, edge.primitive) for edge in best.cells["reduction"]] == [(0, name) for name in THREE[:2]]


def found_of(posterior):
    arrays = {f"{name}/mean": mean for name, mean in posterior.mean.items()}
    arrays |= {f"{name}/log_variance": value for name, value in posterior.log_variance.items()}
    return Found(posterior.space, posterior.states, posterior.primitives, arrays)


def test_json_names_mean_variance_snr_and_probability_of_every_choice():
    posterior = random_posterior(states=2)
    data = json.loads(found_of(posterior).to_json(posterior.columns(itself)))
    assert (data["version"], data["states"], data["primitives"]) == (1, 2, list(VINNAS.primitives))
    probability = choice_probabilities(posterior, itself)
    for group, edges in data["cells"].items():
        assert tuple((edge["source"], edge["target"]) for edge in edges) == VINNAS.edges(2)
        for row, edge in enumerate(edges):
            assert list(edge["primitives"]) == list(VINNAS.primitives)
            for k, values in enumerate(edge["primitives"].values()):
                assert values["mean"] == posterior.mean[group][row, k]
                assert values["variance"] == pytest.approx(math.exp(values["log_variance"]))
                assert values["snr"] == pytest.approx(values["mean"] / values["variance"])
                assert values["probability"] == probability[group][row, k]


def test_file_round_trip_is_exact_for_gaussian_and_for_deterministic_alphas(tmp_path):
    gaussian = random_posterior()
    points = make(gaussian.mean["normal"], -np.inf, VINNAS.primitives, states=4)
    for posterior in (gaussian, points):
        found_of(posterior).save(tmp_path / "posterior.json", posterior.columns(itself))
        loaded = Posterior.load(tmp_path / "posterior.json")
        assert (loaded.primitives, loaded.states) == (posterior.primitives, posterior.states)
        for name in ("mean", "log_variance"):
            np.testing.assert_equal(getattr(loaded, name), getattr(posterior, name))
        json.loads((tmp_path / "posterior.json").read_text(), parse_constant=pytest.fail)  # no NaN, no Infinity
    assert [path.name for path in tmp_path.iterdir()] == ["posterior.json"]


def test_edges_are_read_by_their_nodes_in_whatever_order_they_stand():
    posterior = make(np.arange(50.0).reshape(5, 10), primitives=VINNAS.primitives)
    data = json.loads(found_of(posterior).to_json(posterior.columns(itself)))
    edges = data["cells"]["reduction"]
    edges[0], edges[3] = edges[3], edges[0]
    np.testing.assert_array_equal(
        Found.from_json(json.dumps(data)).of("mean")["reduction"], posterior.mean["reduction"]
    )
    edges[1] = edges[0]
    with pytest.raises(UserError, match="are not those of 2 states"):
        Found.from_json(json.dumps(data))


def test_arrays_of_edges_alone_and_of_another_shape():
    edges = VINNAS.edges(1)
    found = Found(
        VINNAS, 1, VINNAS.primitives, {"normal/rate": np.arange(len(edges)), "normal/weight": np.zeros((2, 10))}
    )
    assert found.groups == ("normal",)
    assert found.of("rate")["normal"].tolist() == [0, 1]
    assert found.of("mean") == {}
    with pytest.raises(ValueError, match=r"normal/weight must be \[edges, K\] = \(2, 10\) or \[edges\], got \(3, 10\)"):
        Found(VINNAS, 1, VINNAS.primitives, {"normal/weight": np.zeros((3, 10))})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 9}, "reads version 1, got 9"),
        ({"states": 3}, "the edges of the reduction cell are not those of 3 states"),
        ({"states": 10**9}, "states must be a whole number, 1 to 64"),
        ({"primitives": ["sep_conv_3x3", "skip", "conv"]}, "make the file anew"),
        ({"cells": {"sideways": []}}, "make the file anew"),
        ({"cells": 3}, "make the file anew"),
    ],
)
def test_a_file_that_is_not_a_posterior_is_refused_in_one_line_that_names_it(tmp_path, change, message):
    path = tmp_path / "posterior.json"
    posterior = make(np.zeros((5, 10)), primitives=VINNAS.primitives)
    text = found_of(posterior).to_json(posterior.columns(itself))
    path.write_text(json.dumps({**json.loads(text), **change}))
    with pytest.raises(UserError, match=message) as error:
        Posterior.load(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"\(5, 3\), got \(5, 2\)"):
        make(np.zeros((5, 2)))
    with pytest.raises(ValueError, match="of the same cell groups"):
        Posterior(THREE, 2, {"normal": np.zeros((5, 3))}, {"reduction": np.zeros((5, 3))})
    with pytest.raises(ValueError, match="different ones"):
        make(np.zeros((5, 3)), primitives=("skip", "skip", "zero"))
