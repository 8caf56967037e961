"""The search methods: how each mixes, what it adds to the loss, and what it chooses."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import integrate, special, stats

from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.architecture.posterior import Posterior
from vinnas_tf.architecture.space import NASBENCH201, SPACES, VINNAS
from vinnas_tf.config import SearchConfig
from vinnas_tf.errors import UserError
from vinnas_tf.methods import METHODS, make_method
from vinnas_tf.methods.base import Alphas
from vinnas_tf.methods.random_search import random_genotype
from vinnas_tf.search.__main__ import make_model
from vinnas_tf.search.model import SearchModel

# What moves in a weight step, in an alpha step and in a joint step: one row a method that trains.
STEPS = {"vinnas": ("weight", "alpha"), "vinnas_joint": ("joint",), "darts": ("weight", "alpha")}
ZERO = VINNAS.primitives.index("zero")


class Value:
    """What a Keras variable is to a method: something with a value."""

    def __init__(self, array: np.ndarray) -> None:
        self.value = tf.constant(array, tf.float32)


def model_of(method: str, space: str) -> SearchModel:
    cells, states = ("NR", 1) if space == "vinnas" else ("NRN", 3)
    config = SearchConfig(method=method, space=space, cells=cells, states=states, channels=4, batch_size=6, seed=1)
    return make_model(config, (8, 8, 1), 3, 40)


def batch(seed: int) -> tuple[tf.Tensor, tf.Tensor]:
    generator = np.random.default_rng(seed)
    images = tf.constant(generator.normal(size=(6, 8, 8, 1)), tf.float32)
    return images, tf.constant(generator.integers(0, 3, 6), tf.int32)


def test_every_method_that_trains_has_its_row_here() -> None:
    assert STEPS.keys() == {name for name, method in METHODS.items() if method.trains}


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("method", STEPS)
def test_one_iteration_takes_the_steps_of_the_method(method: str, space: str) -> None:
    model = model_of(method, space)
    graph = model.supergraph
    moved = []

    def watch(step: str) -> None:
        before = [variable.numpy() for variable in graph.weight_variables + graph.alpha_variables]
        original = getattr(model, f"{step}_step")

        def watched(*arguments: object, **named: object) -> None:
            original(*arguments, **named)
            after = [variable.numpy() for variable in graph.weight_variables + graph.alpha_variables]
            changed = [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
            split = len(graph.weight_variables)
            moved.append((step, any(changed[:split]), any(changed[split:])))
            before[:] = after

        setattr(model, f"{step}_step", watched)

    for step in ("weight", "alpha", "joint"):
        watch(step)
    model.train_step((batch(0), batch(1)))
    first, *rest = moved
    if STEPS[method] == ("joint",):
        assert moved == [("joint", True, True)] * 2
    else:
        assert first == ("weight", True, False)
        ((name, _, alphas_moved),) = rest
        assert (name, alphas_moved) == ("alpha", True)


def test_an_alpha_step_leaves_the_weights_also_where_it_looks_ahead() -> None:
    config = SearchConfig(method="darts", darts_order=2, cells="N", states=1, channels=4, batch_size=6)
    model = make_model(config, (8, 8, 1), 3, 40)
    before = [variable.numpy() for variable in model.supergraph.weight_variables]
    model.alpha_step(*batch(1), batch(0))
    for old, variable in zip(before, model.supergraph.weight_variables, strict=True):
        np.testing.assert_array_equal(variable, old)


def test_vinnas_limits_zero_to_the_mean_of_the_others_and_darts_does_not() -> None:
    alpha = np.zeros((2, 10))
    alpha[0, [0, ZERO]] = [0.9, 7.0]
    alpha[1, [0, ZERO]] = [0.9, -2.0]
    limited = alpha.copy()
    limited[0, ZERO] = 0.1  # (0.9 + 8 * 0) / 9
    for method, expected in (("vinnas", limited), ("darts", alpha)):
        strengths = make_method(SearchConfig(method=method)).strengths(
            Alphas(Value(alpha), Value(np.zeros_like(alpha))), None
        )
        np.testing.assert_allclose(strengths, special.softmax(expected, axis=-1), rtol=1e-5)


def test_darts_compares_edges_by_mixing_weight_and_never_takes_zero() -> None:
    # Edges into state 3: 0 -> 3 has the highest alpha, but all its primitives have; zero leads on 1 -> 3.
    mean = np.zeros((5, 10))
    mean[0, 2] = mean[1, 3] = 1.0
    mean[2] = 5.0
    mean[3, [1, ZERO]] = [2.0, 2.5]
    mean[4, 4] = 3.0
    posterior = Posterior(VINNAS.primitives, 2, {"normal": mean}, {"normal": np.full_like(mean, -np.inf)})
    names = VINNAS.primitives
    expected = (Edge(2, 0, names[2]), Edge(2, 1, names[3]), Edge(3, 1, names[1]), Edge(3, 2, names[4]))
    assert make_method(SearchConfig(method="darts")).derive(posterior) == Genotype(2, expected)


def test_the_joint_variants_divergence_is_the_integral() -> None:
    mean, log_variance = np.array([[0.3, -1.2]]), np.array([[0.5, -2.0]])
    alphas = {"normal": Alphas(Value(mean), Value(log_variance))}
    found = make_method(SearchConfig(method="vinnas_joint")).alpha_terms(alphas, tf.constant([1, 2]))

    def divergence(m: float, v: float) -> float:
        q = stats.norm(m, np.exp(v / 2))
        return integrate.quad(lambda x: q.pdf(x) * (q.logpdf(x) - stats.norm.logpdf(x)), -15, 15)[0]

    expected = sum(divergence(m, v) for m, v in zip(mean[0], log_variance[0], strict=True))
    np.testing.assert_allclose(found["kl_alphas"], expected, rtol=1e-4)


def test_random_search_draws_every_choice_equally_often() -> None:
    generator = np.random.default_rng(0)
    draws = 3000
    pairs, primitives = np.zeros((3, 3)), np.zeros(9)
    for _ in range(draws):
        genotype = random_genotype(VINNAS, 2, ["normal"], generator)
        into_last = [edge for edge in genotype.normal if edge.target == 3]
        assert len(genotype.normal) == 4
        pairs[into_last[0].source, into_last[1].source] += 1
        for edge in genotype.normal:
            primitives[VINNAS.primitives.index(edge.primitive)] += 1
    assert stats.chisquare(pairs[np.triu_indices(3, 1)]).pvalue > 1e-4
    assert stats.chisquare(primitives).pvalue > 1e-4
    assert pairs.sum() == draws


def test_random_search_draws_all_cells_of_nasbench201_that_a_search_can_find() -> None:
    generator = np.random.default_rng(0)
    drawn = [random_genotype(NASBENCH201, 3, ["normal"], generator).normal for _ in range(2000)]
    assert all(tuple((edge.source, edge.target) for edge in cell) == NASBENCH201.edges(3) for cell in drawn)
    for place in range(6):
        names, counts = np.unique([cell[place].primitive for cell in drawn], return_counts=True)
        assert set(names) == set(NASBENCH201.primitives) - {"zero"}
        assert stats.chisquare(counts).pvalue > 1e-4


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
    config = SearchConfig(variational=False, cells="N", states=1, channels=4, batch_size=6)
    model = make_model(config, (8, 8, 1), 3, 40)
    gaussian = make_model(SearchConfig(cells="N", states=1, channels=4, batch_size=6), (8, 8, 1), 3, 40)
    weights = {variable.name for variable in model.supergraph.weight_variables}
    assert weights == {variable.name for variable in gaussian.supergraph.weight_variables} - {"log_variance"}
    model.gammas["kl_weights"].assign(1.0)
    model.weight_step(*batch(0))
    logged = {metric.name: float(metric.result()) for metric in model.metrics}
    assert logged["kl_weights"] == logged["kl_weights_weighted"] == 0.0
