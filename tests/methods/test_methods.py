"""The search methods: how each mixes, what it adds to the loss, and what it chooses."""

import dataclasses
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import integrate, special, stats

from vinnas_tf.architecture.found import Found
from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.architecture.skeleton import cell_groups
from vinnas_tf.architecture.space import NASBENCH201, SPACES, VINNAS
from vinnas_tf.config import SearchConfig
from vinnas_tf.errors import UserError
from vinnas_tf.methods import METHODS, make_method, method_from
from vinnas_tf.methods.base import Method
from vinnas_tf.methods.channels import ChannelMethod
from vinnas_tf.methods.random_search import random_genotype
from vinnas_tf.optimizer import PosteriorSGD
from vinnas_tf.search.model import SearchModel
from vinnas_tf.search.stage import make_model

# Whether weights and architecture move, in each descent of an iteration: one row a method that trains.
ALTERNATING = [(True, False), (False, True)]
STEPS = {"vinnas": ALTERNATING, "vinnas_joint": [(True, True)] * 2, "darts": ALTERNATING}
STEPS |= dict.fromkeys(("si_vdnas", "h_vdnas", "v_vdnas"), ALTERNATING)
STEPS["bayesnas"] = [(True, True)]
STEPS |= {"pgnas": [(True, True)], "pgnas_random": [(True, False)]}
SEARCHES = [
    (method, space)
    for method in STEPS
    for space in SPACES
    if METHODS[method].can_search(SPACES[space])
    and (space == "vinnas" or not issubclass(METHODS[method], ChannelMethod))  # They search no cells.
]
ZERO = VINNAS.primitives.index("zero")


def bound(method: str, **arrays: np.ndarray) -> Method:
    """A method whose alphas of the normal cell, of two states, have these values, by quantity."""
    made = make_method(SearchConfig(method=method, cells="N"))
    made.parameters(cell_groups("N", VINNAS, 2), keras.Layer().add_weight)
    for quantity, value in arrays.items():
        made.alphas.variables[f"normal/{quantity}"].assign(value)
    return made


def model_of(method: str, space: str) -> SearchModel:
    cells, states = "NRN" if space == "nasbench201" else "NR", SPACES[space].states or 1
    config = SearchConfig(method=method, space=space, cells=cells, states=states, channels=4, batch_size=6, seed=1)
    return make_model(make_method(config), (8, 8, 1), 3, 40)


def batch(seed: int) -> tuple[tf.Tensor, tf.Tensor]:
    generator = np.random.default_rng(seed)
    images = tf.constant(generator.normal(size=(6, 8, 8, 1)), tf.float32)
    return images, tf.constant(generator.integers(0, 3, 6), tf.int32)


def test_every_method_that_trains_has_its_row_here() -> None:
    assert STEPS.keys() == {name for name, method in METHODS.items() if method.trains}


@pytest.mark.parametrize(("method", "space"), SEARCHES)
def test_one_iteration_takes_the_steps_of_the_method(method: str, space: str) -> None:
    model = model_of(method, space)
    graph = model.supergraph
    moved = []
    before = [variable.numpy() for variable in graph.weight_variables + graph.architecture_variables]
    descend = model.descend

    def watched(*arguments: Any, **named: Any) -> None:
        descend(*arguments, **named)
        after = [variable.numpy() for variable in graph.weight_variables + graph.architecture_variables]
        changed = [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
        split = len(graph.weight_variables)
        moved.append((any(changed[:split]), any(changed[split:])))
        before[:] = after

    object.__setattr__(model, "descend", watched)
    model.train_step((batch(0), batch(1)))
    assert moved == STEPS[method]


def test_an_architecture_step_leaves_the_weights_also_where_it_looks_ahead() -> None:
    settings = {"cells": "N", "states": 1, "channels": 4, "batch_size": 6}
    model = make_model(method_from({"method": "darts", "darts_order": 2, **settings}), (8, 8, 1), 3, 40)
    before = [variable.numpy() for variable in model.supergraph.weight_variables]
    model.descend(batch(1), architecture=True, through=batch(0))
    for old, variable in zip(before, model.supergraph.weight_variables, strict=True):
        np.testing.assert_array_equal(variable, old)


def test_vinnas_limits_zero_to_the_mean_of_the_others_and_darts_does_not() -> None:
    alpha = np.zeros((5, 10))
    alpha[0, [0, ZERO]] = [0.9, 7.0]
    alpha[1, [0, ZERO]] = [0.9, -2.0]
    limited = alpha.copy()
    limited[0, ZERO] = 0.1  # (0.9 + 8 * 0) / 9
    for method, expected in (("vinnas", limited), ("darts", alpha)):
        mixing = bound(method, mean=alpha).draw(None).mixing["normal"]
        np.testing.assert_allclose(mixing, special.softmax(expected, axis=-1), rtol=1e-5)


def test_darts_compares_edges_by_mixing_weight_and_never_takes_zero() -> None:
    # Edges into state 3: 0 -> 3 has the highest alpha, but all its primitives have; zero leads on 1 -> 3.
    mean = np.zeros((5, 10))
    mean[0, 2] = mean[1, 3] = 1.0
    mean[2] = 5.0
    mean[3, [1, ZERO]] = [2.0, 2.5]
    mean[4, 4] = 3.0
    found = Found(VINNAS, 2, VINNAS.primitives, {"normal/mean": mean})
    names = VINNAS.primitives
    expected = (Edge(2, 0, names[2]), Edge(2, 1, names[3]), Edge(3, 1, names[1]), Edge(3, 2, names[4]))
    assert make_method(SearchConfig(method="darts")).derive(found) == Genotype(2, {"normal": expected})


def test_the_joint_variants_divergence_is_the_integral() -> None:
    generator = np.random.default_rng(0)
    mean, log_variance = generator.normal(size=(5, 10)), generator.uniform(-3, 1, (5, 10))
    method = bound("vinnas_joint", mean=mean, log_variance=log_variance)
    found = method.values(method.draw(tf.constant([1, 2])), network=None)

    def divergence(m: float, v: float) -> float:
        q = stats.norm(m, np.exp(v / 2))
        return integrate.quad(lambda x: q.pdf(x) * (q.logpdf(x) - stats.norm.logpdf(x)), -15, 15)[0]

    expected = sum(divergence(m, v) for m, v in zip(mean.ravel(), log_variance.ravel(), strict=True))
    np.testing.assert_allclose(found["kl_alphas"], expected, rtol=1e-4)


def test_the_settings_of_a_search_reach_its_optimizers() -> None:
    recipe = {
        "weight_optimizer": "sgd", "weight_learning_rate": 0.025, "final_weight_learning_rate": 0.001,
        "weight_decay": 3e-4, "weight_clip_norm": 5.0, "alpha_learning_rate": 3e-4, "alpha_decay": 1e-3,
        "alpha_beta_1": 0.5,
    }  # fmt: skip
    weights, alphas = method_from({"method": "darts", **recipe}).optimizers(10)
    assert isinstance(weights, PosteriorSGD)
    assert (weights.momentum, weights.l2, weights.global_clipnorm) == (0.9, 3e-4, 5.0)
    rates = [float(weights._learning_rate(step)) for step in (0, 5, 10)]
    np.testing.assert_allclose(rates, [0.025, 0.013, 0.001], rtol=1e-5)
    assert float(alphas.learning_rate) == pytest.approx(3e-4)
    assert (alphas.l2, alphas.beta_1) == (1e-3, 0.5)
    stepped = {"weight_optimizer": "nesterov", "weight_schedule": "steps", "weight_schedule_epochs": (10, 15)}
    weights, _ = method_from({"method": "darts", **stepped}).optimizers(40)  # In 20 epochs.
    assert weights.nesterov
    np.testing.assert_allclose(
        [float(weights._learning_rate(step)) for step in (0, 19, 20, 30)], [0.01, 0.01, 1e-3, 1e-4]
    )
    by_default = method_from({}).optimizers(10)
    assert [optimizer.l2 for optimizer in by_default] == [0.0, 0.0]
    assert [optimizer.log_variance_rate for optimizer in by_default] == [3.0, 1.0]


def test_random_search_draws_every_choice_equally_often() -> None:
    generator = np.random.default_rng(0)
    draws = 3000
    pairs, primitives = np.zeros((3, 3)), np.zeros(9)
    for _ in range(draws):
        genotype = random_genotype(VINNAS, 2, ["normal"], generator)
        into_last = [edge for edge in genotype.cells["normal"] if edge.target == 3]
        assert len(genotype.cells["normal"]) == 4
        pairs[into_last[0].source, into_last[1].source] += 1
        for edge in genotype.cells["normal"]:
            primitives[VINNAS.primitives.index(edge.primitive)] += 1
    assert stats.chisquare(pairs[np.triu_indices(3, 1)]).pvalue > 1e-4
    assert stats.chisquare(primitives).pvalue > 1e-4
    assert pairs.sum() == draws


def test_random_search_draws_all_cells_of_nasbench201_that_a_search_can_find() -> None:
    generator = np.random.default_rng(0)
    drawn = [random_genotype(NASBENCH201, 3, ["normal"], generator).cells["normal"] for _ in range(2000)]
    assert all(tuple((edge.source, edge.target) for edge in cell) == NASBENCH201.edges(3) for cell in drawn)
    for place in range(6):
        names, counts = np.unique([cell[place].primitive for cell in drawn], return_counts=True)
        assert set(names) == set(NASBENCH201.primitives) - {"zero"}
        assert stats.chisquare(counts).pvalue > 1e-4


def test_random_search_draws_trees_with_one_operation_on_each_edge() -> None:
    config = SearchConfig(method="random", space="tree_pyramid", cells="NR", states=12)
    genotype = make_method(config).derive(None)
    assert [*genotype.cells] == ["block_0", "block_1"]
    for edges in genotype.cells.values():
        assert [(edge.source, edge.target) for edge in edges] == list(SPACES["tree_pyramid"].edges(12))
    assert genotype.cells["block_0"] != genotype.cells["block_1"]
    with pytest.raises(UserError, match="method=darts can't search space=tree_pyramid: use space=vinnas or nasbench"):
        make_method(dataclasses.replace(config, method="darts"))


def test_random_search_is_a_function_of_the_seed_and_has_the_skeletons_cells() -> None:
    def draw(seed: int, cells: str = "NRN") -> Genotype:
        return make_method(SearchConfig(method="random", seed=seed, cells=cells)).derive(None)

    assert draw(3) == draw(3) != draw(4)
    assert list(draw(3).cells) == ["normal", "reduction"]
    assert list(draw(3, "R").cells) == ["reduction"]


def test_an_unknown_method_is_refused_by_name() -> None:
    with pytest.raises(UserError, match=f"method must be one of {', '.join(METHODS)}, got 'magic'"):
        make_method(SearchConfig(method="magic"))


def test_without_gaussian_weights_vinnas_has_their_means_alone_and_no_divergence() -> None:
    settings = {"cells": "N", "states": 1, "channels": 4, "batch_size": 6}
    model = make_model(method_from({**settings, "variational": False}), (8, 8, 1), 3, 40)
    gaussian = make_model(method_from(settings), (8, 8, 1), 3, 40)
    weights = {variable.name for variable in model.supergraph.weight_variables}
    assert weights == {variable.name for variable in gaussian.supergraph.weight_variables} - {"log_variance"}
    model.scheduled["gamma_kl_weights"].assign(1.0)
    model.descend(batch(0), weights=True)
    logged = {metric.name: float(metric.result()) for metric in model.metrics}
    assert logged["kl_weights"] == logged["kl_weights_weighted"] == 0.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "darts", "gamma_entropy": 1.0}, "gamma_entropy is not read by method=darts, only by vinnas: leave"),
        ({"method": "vinnas", "darts_order": 2}, "darts_order is not read by method=vinnas, only by darts"),
        ({"method": "random", "epochs": 3}, "epochs is not read by method=random, only by vinnas, vinnas_joint, darts"),
        ({"method": "random", "weight_optimizer": "sgd"}, "weight_optimizer is not read by method=random"),
        ({"method": "random", "final_weight_learning_rate": 0.0}, "final_weight_learning_rate is not read by"),
        ({"method": "random", "weight_decay": 0.0}, "weight_decay is not read by"),
        ({"method": "random", "weight_clip_norm": 5.0}, "weight_clip_norm is not read by"),
        ({"method": "random", "alpha_decay": 0.0}, "alpha_decay is not read by"),
        ({"method": "random", "alpha_beta_1": 0.5}, "alpha_beta_1 is not read by"),
        ({"celss": "N"}, "unknown setting celss: did you mean cells"),
        ({"method": "darts", "darts_order": 3}, "darts_order must be 1 or 2, got 3"),
        ({"epochs": 2, "weight_epochs": 0}, r"gamma_start_epoch must lie in \[0, epochs\) = \[0, 2\), got 2"),
    ],
)
def test_a_setting_that_the_method_does_not_read_or_refuses_is_told(settings: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        method_from(settings)
