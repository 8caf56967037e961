"""BayesNAS: what a step moves, what an update weighs and prunes, what is kept, and that a killed search goes on."""

import dataclasses
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from vinnas_tf.architecture.found import Found
from vinnas_tf.architecture.genotype import Edge
from vinnas_tf.architecture.skeleton import cell_groups
from vinnas_tf.architecture.space import SPACES, VINNAS
from vinnas_tf.config import SearchConfig
from vinnas_tf.data.arrays import array_dataset
from vinnas_tf.data.batches import Normalization
from vinnas_tf.errors import DivergenceError, UserError
from vinnas_tf.evidence import LEAST_VARIANCE
from vinnas_tf.methods import bayesnas, make_method, method_from
from vinnas_tf.methods.bayesnas import BayesNas, BayesNasSettings
from vinnas_tf.methods.switches import Switches
from vinnas_tf.search.stage import train_and_choose

NAMES = ("sep_conv_3x3", "max_pool_3x3", "skip")
# The edges of two states: (0, 2), (1, 2), (0, 3), (1, 3), (2, 3).
CELLS = 2


@pytest.fixture(autouse=True)
def small_space(monkeypatch: pytest.MonkeyPatch) -> None:
    """VINNAS's space with three operations, which is traced in seconds."""
    monkeypatch.setitem(SPACES, "small", dataclasses.replace(VINNAS, name="small", primitives=(*NAMES, "zero")))


def bound(**own: Any) -> tuple[BayesNas, Switches]:
    """The method for two normal cells, and their switches."""
    config = SearchConfig(method="bayesnas", space="small", cells="NN", epochs=4, weight_epochs=1)
    method = make_method(config, BayesNasSettings(**own))
    assert isinstance(method, BayesNas)
    method.parameters(cell_groups("NN", SPACES["small"], 2, method.primitives), keras.Layer().add_weight)
    return method, method.switches["normal"]


def random_switches(switches: Switches, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Gives them random values of either sign; returns w [cells, edges, K] and w' [cells, edges]."""
    generator = np.random.default_rng(seed)
    for variable in switches.trained:
        variable.assign(generator.uniform(0.5, 1.5, variable.shape) * generator.choice([-1, 1], variable.shape))
    return np.stack([np.array(v) for v in switches.operations]), np.stack([np.array(v) for v in switches.identities])


def found(switches: Switches, **known: np.ndarray) -> Found:
    for name, value in known.items():
        switches.known[name].assign(value)
    arrays = {f"normal/{name}": np.array(variable) for name, variable in switches.variables.items()}
    return Found(SPACES["small"], 2, NAMES, arrays)


def test_an_operation_of_a_cell_is_multiplied_by_both_its_switches_and_the_mask() -> None:
    method, switches = bound()
    w, identities = random_switches(switches)
    mask = np.random.default_rng(1).integers(0, 2, (5, 3)).astype(np.float32)
    switches.known["mask"].assign(mask)
    mixing = method.draw(tf.constant([1, 2])).mixing["normal"]
    np.testing.assert_allclose(mixing, identities[..., None] * w * mask, rtol=1e-6)
    assert method.primitives == NAMES  # Zero is no candidate.
    assert [*switches.variables][:4] == ["switch_0", "switch_1", "identity_0", "identity_1"]


def test_the_penalty_shrinks_each_group_over_the_cells_by_its_own_weight() -> None:
    method, switches = bound(switch_penalty=0.3)
    w, identities = random_switches(switches)
    omega, edge_omega = np.random.default_rng(1).uniform(0, 5, (5, 3)), np.linspace(0, 2, 5)
    switches.known["omega"].assign(omega)
    switches.known["edge_omega"].assign(edge_omega)
    method._penalise(tf.constant(0.5))
    for before, after, weight in (
        (w, switches.operations, omega), (identities, switches.identities, edge_omega),
    ):  # fmt: skip
        norm = np.sqrt((before**2).sum(axis=0))
        expected = before * np.maximum(0, 1 - 0.15 * weight / norm)
        np.testing.assert_allclose([np.array(v) for v in after], expected, rtol=1e-5, atol=1e-7)
    # Momentum of 0.9 makes a gradient count ten times, so a step of the penalty is ten rates long: 0.1.
    optimizer = method.architecture_optimizer()
    optimizer.build(switches.trained)
    before = np.linalg.norm([np.array(v) for v in switches.identities], axis=0)
    optimizer.apply([tf.zeros(v.shape) for v in switches.trained], switches.trained)
    after = np.linalg.norm([np.array(v) for v in switches.identities], axis=0)
    np.testing.assert_allclose(before - after, 0.1 * 0.3 * edge_omega, atol=1e-6)


def test_switches_of_mean_square_1_into_each_state_of_each_cell_leave_what_is_pruned_alone() -> None:
    method, switches = bound(normalize_switches=True, switch_penalty=1e-9)
    w, identities = random_switches(switches)
    mask = np.ones((5, 3), np.float32)
    mask[0, 1] = mask[2] = 0
    switches.known["mask"].assign(mask)
    method._penalise(tf.constant(0.1))
    after = np.stack([np.array(v) for v in switches.operations])
    of_edges = np.stack([np.array(v) for v in switches.identities])
    for rows in (slice(0, 2), slice(2, 5)):
        kept = mask[rows] > 0
        np.testing.assert_allclose((after[:, rows][:, kept] ** 2).mean(axis=1), 1, rtol=1e-5)
        np.testing.assert_allclose((of_edges[:, rows][:, kept.any(axis=1)] ** 2).mean(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(after[:, 2], w[:, 2], rtol=1e-6)
    np.testing.assert_allclose(of_edges[:, 2], identities[:, 2], rtol=1e-6)
    np.testing.assert_allclose(after[0, 0, 0] / after[0, 1, 2], w[0, 0, 0] / w[0, 1, 2], rtol=1e-5)


def curvature(operations: float | np.ndarray, identities: float | np.ndarray = 1.0) -> list[np.ndarray]:
    """That of the loss, the same in both cells."""
    return [np.broadcast_to(operations, (5, 3))] * CELLS + [np.broadcast_to(identities, (5,))] * CELLS


def test_an_update_is_that_of_the_paper() -> None:
    """Of one edge into a state of its own, so that only its identity and itself count."""
    method, switches = bound(switch_penalty=0.02)
    w, identities = random_switches(switches)
    method.update(curvature(0.3, 0.5))
    for values, h, prefix in ((w, 0.3 / 0.02, ""), (identities, 0.5 / 0.02, "edge_")):
        posterior = 1 / (1 / 1.0 + h)
        omega = np.sqrt(CELLS * (1.0 - posterior)) / 1.0  # Eq. (18) at gamma = 1, over the cells.
        s = np.sqrt((values**2).sum(axis=0)) / omega
        np.testing.assert_allclose(switches.known[f"{prefix}omega"], np.full(s.shape, omega), rtol=1e-5)
        np.testing.assert_allclose(switches.known[f"{prefix}variance"], s, rtol=1e-5)
        np.testing.assert_allclose(switches.known[f"{prefix}determined"], s * h / (1 + s * h), rtol=1e-5)
    s, s_edge = np.array(switches.known["variance"]), np.array(switches.known["edge_variance"])
    np.testing.assert_allclose(switches.known["gamma"][:2], 1 / (1 / s[:2] + 1 / s_edge[:2, None]), rtol=1e-5)
    into_state_2 = s[:2].sum()
    np.testing.assert_allclose(switches.known["gamma"][4], 1 / (1 / s_edge[4] + 1 / into_state_2 + 1 / s[4]), rtol=1e-5)
    assert (np.array(switches.known["mask"]) == 1).all()


def test_an_operation_goes_by_either_rule_and_by_the_printed_one_alone_where_that_is_asked_for() -> None:
    """A small one that the data determine has no entropy; one that they do not see has, however much it shrank."""
    for determined, kept in ((0.05, [1, 0, 0]), (0.0, [1, 0, 1])):
        method, switches = bound(determined=determined, switch_penalty=0.01)
        for variable in switches.operations:
            variable.assign(np.tile([1.0, 0.05, 0.001], (5, 1)))
        method.update(curvature(np.tile([1.0, 1.0, 1e-9], (5, 1))))
        assert switches.known["mask"][0].numpy().tolist() == kept
        share = np.array(switches.known["determined"])[0]
        assert share[1] > 0.05 > share[2]
        assert np.array(switches.known["variance"])[0, 1] < LEAST_VARIANCE < np.array(switches.known["variance"])[0, 2]


def test_an_edge_goes_with_an_identity_that_the_data_do_not_see() -> None:
    method, switches = bound(switch_penalty=0.01)
    method.update(curvature(1.0, np.array([1.0, 1e-9, 1.0, 1.0, 1.0])))
    assert np.array(switches.known["mask"]).sum(axis=1).tolist() == [3, 0, 3, 3, 3]


def test_what_is_pruned_stays_so_with_the_figures_that_it_went_by() -> None:
    method, switches = bound(switch_penalty=0.01)
    first = np.ones((5, 3))
    first[0] = first[3, 1] = 1e-9
    method.update(curvature(first))
    gone = np.array(switches.known["mask"]) == 0
    assert gone.sum() == 4
    before = {name: np.array(value) for name, value in switches.known.items()}
    method.update(curvature(1.0))  # As if all of them mattered now.
    for name, value in switches.known.items():
        old, new = before[name], np.array(value)
        np.testing.assert_array_equal(new[gone] if new.ndim == 2 else new[:1], old[gone] if new.ndim == 2 else old[:1])
    assert (np.array(switches.known["mask"]) <= before["mask"]).all()


def test_a_cell_of_which_nothing_is_left_is_told_with_the_remedy() -> None:
    method, _ = bound(switch_penalty=7.0)
    with pytest.raises(UserError, match="all operations of the normal cell are pruned: use a smaller switch_penalty"):
        method.update(curvature(1e-9))
    with pytest.raises(DivergenceError, match="curvature of the loss is not finite"):
        method.update(curvature(np.nan))


def test_a_cell_of_a_pyramid_may_be_pruned_whole_but_not_all() -> None:
    """A leaf that nothing feeds goes, as does a branch that leads to no leaf."""
    config = SearchConfig(method="bayesnas", space="tree_pyramid", cells="NN", states=12, epochs=4, weight_epochs=1)
    method = make_method(config)
    assert isinstance(method, BayesNas)
    space = SPACES["tree_pyramid"]
    method.parameters(cell_groups("NN", space, 12, method.primitives), keras.Layer().add_weight)
    dead, alive = np.full((12, 7), 1e-9), np.full((12, 7), 1e-9)
    kept = {(0, 2): 1, (2, 6): 4, (0, 3): 2, (4, 10): 3}  # To state 3 and no further, and out of state 4 alone.
    for edge, k in kept.items():
        alive[space.edges(12).index(edge), k] = 1.0
    identities = np.ones(12)
    method.update([dead, identities, alive, identities])
    arrays = {
        f"{name}/{quantity}": np.array(variable)
        for name, switches in method.switches.items()
        for quantity, variable in switches.variables.items()
    }
    search = Found(space, 12, method.primitives, arrays)
    assert method.derive(search).cells == {
        "block_0": (), "block_1": (Edge(2, 0, "sep_conv_3x3"), Edge(6, 2, "avg_pool_3x3")),
    }  # fmt: skip
    figures = method.epoch_figures(search)
    assert (figures["kept_block_0"], figures["median_switch_block_0"], figures["kept_block_1"]) == (0, None, 2)
    with pytest.raises(UserError, match="all operations of every cell are pruned: use a smaller switch_penalty"):
        method.update([dead, identities, dead, identities])


def test_what_the_mask_keeps_is_the_cell_and_a_state_may_be_left_out() -> None:
    method, switches = bound()
    w, identities = random_switches(switches)
    mask = np.zeros((5, 3))
    mask[2, 0] = mask[2, 2] = mask[3, 1] = 1
    search = found(switches, mask=mask)
    edges = method.derive(search).cells["normal"]
    assert edges == (Edge(3, 0, NAMES[0]), Edge(3, 0, NAMES[2]), Edge(3, 1, NAMES[1]))
    figures = method.epoch_figures(search)
    strength = np.sqrt(np.mean((identities[..., None] * w) ** 2, axis=0))
    assert figures["kept_normal"] == 3 and figures["determined_normal"] is None
    assert figures["median_switch_normal"] == pytest.approx(np.median(strength[mask > 0]), rel=1e-5)
    np.testing.assert_allclose(method.preference(search)["normal"], strength, rtol=1e-5)


def test_by_magnitude_as_many_are_kept_and_each_is_fed() -> None:
    method, switches = bound(keep="magnitude")
    sizes = np.full((5, 3), 0.1)
    sizes[4] = [3.0, 2.0, 1.0]  # Out of state 2, into which the strongest is 1 -> 2.
    sizes[1, 1], sizes[2, 0] = 0.5, 0.6
    for variable in switches.operations:
        variable.assign(sizes)
    mask = np.zeros((5, 3))
    mask[0] = mask[1, 0] = 1
    edges = method.derive(found(switches, mask=mask)).cells["normal"]
    assert edges == (Edge(2, 1, NAMES[1]), Edge(3, 0, NAMES[0]), Edge(3, 2, NAMES[0]), Edge(3, 2, NAMES[1]))


def test_it_warns_after_an_update_of_cells_without_weights_and_of_hardly_any_pruning() -> None:
    method, switches = bound()
    assert method.warning(found(switches)) is None
    share = np.full((5, 3), 0.5)
    assert "Undecided: 15 of 15 operations of the normal cell" in method.warning(found(switches, determined=share))
    mask = np.zeros((5, 3))
    mask[:, 2] = 1
    assert "only operations without weights are kept in the normal cell" in method.warning(found(switches, mask=mask))
    mask[0, 0] = 1
    assert method.warning(found(switches, mask=mask)) is None


def test_the_file_and_the_pictures_have_switches_and_gammas(tmp_path) -> None:
    method, switches = bound()
    w, identities = random_switches(switches)
    gamma = np.random.default_rng(3).uniform(0, 1, (5, 3)).astype(np.float32)
    search = found(switches, gamma=gamma, mask=gamma > 0.2)
    search.save(tmp_path / "posterior.json", method.columns(search))
    again = Found.load(tmp_path / "posterior.json")
    np.testing.assert_array_equal(again.of("switch_1")["normal"], w[1])
    np.testing.assert_array_equal(again.of("identity_0")["normal"], identities[0])
    assert method.derive(again) == method.derive(search)
    trajectory = {name: np.stack([0 * value, value]) for name, value in search.arrays.items()}
    values = method.edge_values(search, trajectory)
    both = identities[..., None] * w
    np.testing.assert_allclose(values.values["normal"], both.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(values.deviation["normal"], [0 * both[0], both.std(axis=0)], rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(values.note.values["normal"], gamma)
    assert values.kept_epoch == 2


LABELS = np.arange(24) % 2
IMAGES = (np.random.default_rng(0).integers(100, size=(24, 6, 6, 1)) + 100 * LABELS[:, None, None, None]).astype(
    "uint8"
)


def searched(folder, **own: Any) -> Any:
    """A search of two updates, each after one epoch of the switches."""
    folder.mkdir(exist_ok=True)
    settings = {"cells": "N", "states": 1, "channels": 4, "epochs": 2, "weight_epochs": 0, "batch_size": 6}
    method = method_from(
        {"method": "bayesnas", "space": "small", "updates": 2, "switch_penalty": 0.02, **settings, **own}
    )
    train = array_dataset(IMAGES, LABELS).train
    return train_and_choose(method, method.split(train, 0), Normalization.of(train), 2, folder=folder)


class Killed(Exception):
    """As if the process were gone."""


def test_a_search_that_dies_between_curvature_and_update_ends_with_the_very_result(tmp_path, monkeypatch) -> None:
    update, at = BayesNas.update, iter([False, True, False])

    def dying(self: BayesNas, curvature: list[np.ndarray]) -> None:
        if next(at):
            raise Killed
        update(self, curvature)

    monkeypatch.setattr(bayesnas, "CURVATURE_DRAWS", 40)
    straight = searched(tmp_path / "straight")
    monkeypatch.setattr(BayesNas, "update", dying)
    with pytest.raises(Killed):
        searched(tmp_path / "killed")  # In the second update.
    resumed = searched(tmp_path / "killed")
    assert resumed.genotype == straight.genotype
    assert resumed.trajectory.keys() == straight.trajectory.keys()
    for name, values in straight.trajectory.items():
        np.testing.assert_array_equal(resumed.trajectory[name], values, err_msg=name)
    omega = straight.trajectory["normal/omega"]
    assert (omega[0] != omega[1]).all()
    assert [row["alpha_cross_entropy"] for row in straight.history] == [None] * 2  # Weights and switches move together.


def test_updates_come_evenly_after_the_first_epochs_of_weights_and_the_last_one_at_the_end() -> None:
    config = SearchConfig(method="bayesnas", space="small", epochs=8, weight_epochs=2)
    due = []

    class Noting(BayesNas):
        def curvature(self, epoch: int, *_: Any) -> list[np.ndarray]:
            due.append(epoch)
            return []

        def update(self, curvature: list[np.ndarray]) -> None:
            pass

    for updates in (1, 2, 6):
        for epoch in range(8):
            Noting(config, BayesNasSettings(updates=updates)).after_epoch(epoch, None, None)
    assert due == [7, 4, 7, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"space": "nasbench201", "cells": "NRN", "states": 3},
            "method=bayesnas can't search space=nasbench201: use space=vinnas or",
        ),
        ({"updates": 0}, "updates must be at least 1, got 0."),
        (
            {"epochs": 6, "weight_epochs": 1, "updates": 2},
            "weight_epochs=1, which are 5, must be a multiple of updates=2",
        ),
        ({"switch_penalty": 0.0}, "switch_penalty must be positive, got 0.0."),
        ({"determined": 1.0}, r"determined must lie in \[0, 1\), got 1.0."),
        ({"keep": "best"}, "keep must be gamma or magnitude, got 'best'."),
        ({"alpha_decay": 1e-3}, "alpha_decay is not read by method=bayesnas"),
        ({"alpha_beta_1": 0.5}, "alpha_beta_1 is not read by method=bayesnas"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        method_from({"method": "bayesnas", **settings})
    assert "\n" not in str(caught.value)
