"""SI-VDNAS and its ablations: what a step sees, what is annealed, and what is kept."""

import dataclasses
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import special

import vinnas_tf
from vinnas_tf.architecture.found import Found
from vinnas_tf.architecture.genotype import Edge
from vinnas_tf.architecture.skeleton import cell_groups
from vinnas_tf.architecture.space import NASBENCH201, VINNAS
from vinnas_tf.config import SearchConfig
from vinnas_tf.errors import UserError
from vinnas_tf.methods import make_method, method_from
from vinnas_tf.methods.si_vdnas import SiVdnasSettings
from vinnas_tf.methods.vdnas import VVdnas, edge_weights

NAMES = tuple(name for name in VINNAS.primitives if name != "zero")
EDGES = VINNAS.edges(2)


def bound(method: str = "si_vdnas", **values: Any) -> VVdnas:
    """A method whose parameters of the normal cell, of two states, have these values."""
    made = make_method(SearchConfig(method=method, cells="N"))
    assert isinstance(made, VVdnas)
    groups = cell_groups("N", VINNAS, 2, made.primitives)
    made.parameters(groups, keras.Layer().add_weight)
    for name, value in values.items():
        made.variables[f"normal/{name}"].assign(value)
    return made


def random_values(seed: int = 0) -> dict[str, Any]:
    generator = np.random.default_rng(seed)
    return {
        "alpha": generator.normal(size=(5, 9)),
        "beta": generator.normal(size=5),
        "log_delta": generator.uniform(-3, 1, (5, 9)),
        "log_sigma": generator.uniform(-3, 1, 5),
    }


def found(**values: Any) -> Found:
    return Found(VINNAS, 2, NAMES, {f"normal/{name}": value for name, value in values.items()})


def phi(beta: np.ndarray) -> np.ndarray:
    return np.concatenate([2 * special.softmax(beta[:2]), 3 * special.softmax(beta[2:])])


def test_zero_is_no_candidate_and_has_no_weight_in_the_supergraph() -> None:
    small = {"cells": "N", "states": 2, "channels": 4}
    supergraph = vinnas_tf.make_supergraph(image_shape=(8, 8, 1), classes=3, method="si_vdnas", **small)
    assert supergraph.method.primitives == NAMES
    mixing = supergraph.method.draw(tf.constant([1, 2])).mixing["normal"]
    assert mixing.shape == (5, 9)
    np.testing.assert_array_equal(supergraph._of_space(mixing)[:, :-1], mixing)
    np.testing.assert_array_equal(supergraph._of_space(mixing)[:, -1], np.zeros(5))


@pytest.mark.parametrize("method", ["si_vdnas", "h_vdnas", "v_vdnas"])
def test_the_mean_network_mixes_by_the_expectation_of_the_draws(method: str) -> None:
    values = random_values()
    if method == "v_vdnas":
        del values["beta"], values["log_sigma"]
    made = bound(method, **values)
    mean = made.draw(None).mixing["normal"].numpy()
    expected = special.softmax(values["alpha"], axis=-1)
    if method != "v_vdnas":
        expected *= phi(values["beta"])[:, None]
    if method == "si_vdnas":
        expected *= special.expit(-values["log_delta"]) * special.expit(-values["log_sigma"])[:, None]
    np.testing.assert_allclose(mean, expected, rtol=1e-5)
    draw = tf.function(lambda seed: made.draw(seed).mixing["normal"])
    drawn = np.stack([draw(tf.constant([7, one])) for one in range(4000)])
    error = 5 * drawn.std(axis=0) / np.sqrt(len(drawn))
    assert (np.abs(drawn.mean(axis=0) - mean) < error + 1e-6).all()
    assert (drawn < 0).any()  # Signed.


def test_whole_edges_are_silent_together_and_the_term_is_the_same_for_every_draw() -> None:
    made = bound(**random_values(1))
    made.scheduled = {"annealing": keras.Variable(0.6)}
    silent = 0
    terms = set()
    for one in range(60):
        draw = made.draw(tf.constant([9, one]))
        rows = draw.mixing["normal"].numpy() == 0
        silent += int(rows.all(axis=1).sum())
        terms.add(float(made.values(draw, network=None)["kl_alphas"]))
    assert silent > 30
    assert len(terms) == 1  # It is exact: no draw has a part in it.


def test_the_term_adds_up_all_operations_and_edges() -> None:
    values = random_values(2)
    rates = np.concatenate([values["log_delta"].ravel(), values["log_sigma"]])
    made = bound(**values)
    made.scheduled = {"annealing": keras.Variable(0.6)}
    draw = made.draw(tf.constant([1, 1]))
    semi_implicit = (0.5 * np.log1p(0.6 / np.exp(rates)) / (1 + np.exp(rates))).sum()
    assert float(made.values(draw, network=None)["kl_alphas"]) == pytest.approx(semi_implicit, rel=1e-5)
    ard = (0.5 * np.log1p(1 / np.exp(rates))).sum()
    assert float(bound("h_vdnas", **values).values(draw, network=None)["kl_alphas"]) == pytest.approx(ard, rel=1e-5)


def test_edge_weights_are_softmaxes_over_the_edges_into_a_state() -> None:
    beta = np.random.default_rng(3).normal(size=5)
    np.testing.assert_allclose(edge_weights(beta, EDGES), phi(beta), rtol=1e-12)
    np.testing.assert_allclose(edge_weights(np.zeros(5), EDGES), np.ones(5))  # DARTS's plain sum, at the start.


def test_the_prior_is_annealed_once_for_each_epoch_that_moved_the_architecture() -> None:
    made = make_method(SearchConfig(method="si_vdnas", epochs=10, weight_epochs=3), SiVdnasSettings(annealing=0.5))
    assert [made.schedule(epoch)["annealing"] for epoch in (0, 2, 3, 4, 9)] == [1, 1, 1, 0.5, 0.5**6]
    assert made.schedule(0)["gamma_kl_alphas"] == 1


def test_log_rates_move_faster_than_weights() -> None:
    values = random_values(4)
    made = bound(**values)
    _, optimizer = made.optimizers(10)
    variables = [*made.variables.values()]
    optimizer.build(variables)
    before = [variable.numpy() for variable in variables]
    optimizer.apply([tf.ones_like(variable) for variable in variables], variables)
    steps = [
        np.abs(variable.numpy() - old).mean() / made.config.alpha_learning_rate
        for variable, old in zip(variables, before, strict=True)
    ]
    names = [name.split("/")[1] for name in made.variables]
    assert dict(zip(names, np.round(steps, 3), strict=True)) == {"alpha": 1, "log_delta": 5, "beta": 1, "log_sigma": 5}


def test_the_mode_keeps_what_is_likelier_kept_and_a_state_is_never_left_empty() -> None:
    log_delta = np.full((5, 9), 3.0)
    log_delta[0, [1, 4, 8]] = -1.0
    log_delta[1, 2] = -1.0  # On an edge that is likelier dropped.
    log_delta[3, 5] = 2.0  # Nothing into state 3 is likelier kept; this operation is the most probable one.
    log_sigma = np.array([-2.0, 0.1, -2.0, -2.0, -2.0])
    search = found(log_delta=log_delta, log_sigma=log_sigma)
    made = make_method(SearchConfig(method="si_vdnas", cells="N"), SiVdnasSettings(choose="mode"))
    assert made.epoch_figures(search)["kept_normal_mode"] == 3
    assert made.derive(search).cells["normal"] == (
        Edge(2, 0, NAMES[1]), Edge(2, 0, NAMES[4]), Edge(2, 0, NAMES[8]), Edge(3, 1, NAMES[5])
    )  # fmt: skip


def test_a_draw_keeps_operations_and_edges_as_often_as_their_probabilities_say() -> None:
    values = random_values(5)
    search = found(log_delta=values["log_delta"], log_sigma=values["log_sigma"])
    counts = np.zeros((5, 9))
    for seed in range(1500):
        genotype = make_method(SearchConfig(method="si_vdnas", cells="N", seed=seed)).derive(search)
        for edge in genotype.cells["normal"]:
            counts[EDGES.index((edge.source, edge.target)), NAMES.index(edge.primitive)] += 1
    keep = special.expit(-values["log_delta"]) * special.expit(-values["log_sigma"])[:, None]
    rows = slice(2, 5)  # State 3 is practically never left empty.
    np.testing.assert_allclose(counts[rows] / 1500, keep[rows], atol=0.06)
    figures = make_method(SearchConfig(method="si_vdnas", cells="N")).epoch_figures(search)
    assert figures["kept_normal"] == pytest.approx(keep.sum())


def test_a_draw_is_a_function_of_the_seed() -> None:
    values = random_values(5)
    search = found(log_delta=values["log_delta"], log_sigma=values["log_sigma"])
    config = SearchConfig(method="si_vdnas", cells="N")
    genotypes = [make_method(dataclasses.replace(config, seed=seed)).derive(search) for seed in (3, 3, 4)]
    assert genotypes[0] == genotypes[1] != genotypes[2]


def test_the_ablations_rank_by_signal_to_noise_and_keep_what_the_space_keeps() -> None:
    log_delta = np.zeros((5, 9))
    log_delta[0, 1] = log_delta[1, 2] = log_delta[2, 3] = -1.0
    log_delta[3, 4], log_delta[4, 5] = -2.0, -1.5
    noisy_edge = np.array([0.0, 0, 0, 5.0, 0])
    kept = {}
    for method in ("v_vdnas", "h_vdnas"):
        sigma = {} if method == "v_vdnas" else {"log_sigma": noisy_edge}
        genotype = make_method(SearchConfig(method=method, cells="N")).derive(found(log_delta=log_delta, **sigma))
        kept[method] = [(edge.source, edge.primitive) for edge in genotype.cells["normal"] if edge.target == 3]
    assert kept["v_vdnas"] == [(1, NAMES[4]), (2, NAMES[5])]
    assert kept["h_vdnas"] == [(0, NAMES[3]), (2, NAMES[5])]


def test_in_nasbench201_each_edge_keeps_its_most_probable_operation() -> None:
    names = tuple(name for name in NASBENCH201.primitives if name != "zero")
    log_delta = np.random.default_rng(6).normal(size=(6, 4))
    search = Found(NASBENCH201, 3, names, {"normal/log_delta": log_delta, "normal/log_sigma": np.arange(6) - 3.0})
    config = SearchConfig(method="si_vdnas", space="nasbench201", cells="NRN", states=3)
    edges = make_method(config).derive(search).cells["normal"]
    assert [edge.primitive for edge in edges] == [names[k] for k in log_delta.argmin(axis=1)]


def test_it_warns_of_cells_without_weights_and_of_hardly_any_decision() -> None:
    made = make_method(SearchConfig(method="si_vdnas", cells="N"))
    free = [NAMES.index(name) for name in ("skip", "max_pool_3x3", "avg_pool_3x3")]
    log_delta = np.full((5, 9), 3.0)
    log_delta[np.arange(5), (free * 2)[:5]] = -3.0
    assert "only primitives without parameters" in made.warning(found(log_delta=log_delta, log_sigma=np.full(5, -3.0)))
    undecided = np.full((5, 9), -3.0)
    undecided[np.arange(5), np.arange(5)] = 2.0
    assert "Undecided: 40 of 45" in made.warning(found(log_delta=undecided, log_sigma=np.full(5, -5.0)))
    decided = np.full((5, 9), 3.0)
    decided[np.arange(5), [0, 1, 2, 3, 4]] = -3.0
    assert made.warning(found(log_delta=decided, log_sigma=np.full(5, -3.0))) is None


def test_the_file_holds_weights_rates_and_exact_probabilities(tmp_path) -> None:
    values = random_values(7)
    made = bound(**values)
    search = found(**values)
    search.save(tmp_path / "posterior.json", made.columns(search))
    again = Found.load(tmp_path / "posterior.json")
    assert again.primitives == NAMES
    for name, value in values.items():
        np.testing.assert_array_equal(again.of(name)["normal"], value)
    np.testing.assert_allclose(again.of("w")["normal"], special.softmax(values["alpha"], axis=-1), rtol=1e-12)
    np.testing.assert_allclose(again.of("phi")["normal"], phi(values["beta"]), rtol=1e-12)
    keep = special.expit(-values["log_delta"]) * special.expit(-values["log_sigma"])[:, None]
    np.testing.assert_allclose(again.of("probability")["normal"], keep, rtol=1e-12)
    assert made.derive(again) == made.derive(search)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"choose": "best"}, "choose must be sample or mode, got 'best'."),
        ({"bernoulli_gradient": "exact"}, "bernoulli_gradient must be straight_through or pathwise"),
        ({"annealing": 0.0}, r"annealing must lie in \(0, 1\], got 0.0."),
        ({"annealing": 1.5}, r"annealing must lie in \(0, 1\], got 1.5."),
        ({"initial_log_rate": float("nan")}, "initial_log_rate must be finite, got nan."),
        ({"log_rate_rate": 0.0}, "log_rate_rate must be positive, got 0.0."),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message) -> None:
    with pytest.raises(UserError, match=message):
        method_from({"method": "si_vdnas", **settings})


def test_the_ablations_read_no_setting_of_the_gates() -> None:
    with pytest.raises(UserError, match="choose is not read by method=v_vdnas, only by si_vdnas"):
        method_from({"method": "v_vdnas", "choose": "mode"})


def test_a_step_in_which_every_operation_is_silent_stays_finite() -> None:
    settings = {"method": "si_vdnas", "cells": "NR", "states": 1, "channels": 4, "initial_log_rate": 9.9}
    supergraph = vinnas_tf.make_supergraph(image_shape=(8, 8, 1), classes=3, **settings)
    images = tf.random.stateless_normal((4, 8, 8, 1), [0, 1])
    draw = supergraph.method.draw(tf.constant([1, 2]))
    assert all((mixing.numpy() == 0).all() for mixing in draw.mixing.values())
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(supergraph(images, draw) ** 2)
    gradients = tape.gradient(total, [variable.value for variable in supergraph.weight_variables])
    assert np.isfinite(total)
    assert all(np.isfinite(gradient).all() for gradient in gradients if gradient is not None)
