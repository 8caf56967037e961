"""The PyTorch peer of the benchmark computes what we compute, for equal weights and equal noise."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.gradient_recorder import GradientRecorder
from vinnas_tf import kernels
from vinnas_tf.architecture.primitives import Convolution
from vinnas_tf.architecture.space import VINNAS
from vinnas_tf.config import SearchConfig
from vinnas_tf.layers.sampling import linear_map
from vinnas_tf.methods.vinnas import Vinnas, VinnasSettings
from vinnas_tf.search.model import SearchModel
from vinnas_tf.search.stage import make_model

torch = pytest.importorskip("torch", reason="PyTorch, the benchmark extra, is not installed")

from benchmarks import peer  # noqa: E402
from benchmarks.peer_search import ENTROPY_SAMPLES, PeerSearch  # noqa: E402

TOLERANCE = 1e-4  # In float32; they differ in the order of sums only.
IMAGE_SHAPE, CLASSES, EXAMPLES, BATCH = (8, 8, 3), 3, 40, 6
CONFIG = SearchConfig(
    cells="RN",  # Both kinds of cell, and an input of twice the resolution.
    states=2,
    channels=4,
    batch_size=BATCH,
    seed=1,
)
SETTINGS = VinnasSettings(gamma_weights=0.7, gamma_alphas=0.5, gamma_entropy=0.4)


def relative_error(ours, theirs) -> float:
    """The largest difference in a tensor, relative to its largest element."""
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def our_noise(model: SearchModel, seed: tf.Tensor):
    """The noise of one step from `seed`, in the order in which the peer asks for it."""
    supergraph = model.supergraph

    def layer(seed, shape):
        noise = kernels.standard_normal(seed, shape).numpy()
        return noise.transpose(0, 3, 1, 2) if noise.ndim == 4 else noise

    for position, group in enumerate(supergraph.groups.values()):
        yield tf.random.stateless_normal((1, *group.shape), kernels.fold_in(seed, -1 - position))[0].numpy()
    side = IMAGE_SHAPE[0]
    stem_seed, *cell_seeds, classifier_seed = kernels.split(seed, len(supergraph.cells) + 2)
    yield layer(stem_seed, (BATCH, side, side, CONFIG.channels))
    for cell, cell_seed in zip(supergraph.cells, cell_seeds, strict=True):
        seeds = kernels.split(cell_seed, len(cell.operations) + 2)
        for input_seed in seeds[:2]:
            yield layer(input_seed, (BATCH, side, side, cell.channels))
        after = side // 2 if cell.reduction else side
        of_edges = []
        for index, operation in enumerate(cell.operations):
            chains = [VINNAS.convolutions(name, operation.stride) for name in VINNAS.primitives]
            own_seeds = iter(kernels.split(seeds[2 + index], sum(map(len, chains))))
            side_by_side = []
            for chain in chains:
                height = width = cell.operation_shapes[index][0]
                for _, strides in chain:
                    height, width = height // strides[0], width // strides[1]
                    shape = (BATCH, height, width, operation.edges * cell.channels)
                    side_by_side.append(np.split(layer(next(own_seeds), shape), operation.edges, axis=1))
            of_edges.append(zip(*side_by_side, strict=True))
        for source, _ in cell.edges:
            yield from next(of_edges[source])
        side = after
    yield layer(classifier_seed, (BATCH, CLASSES))
    for position, group in enumerate(supergraph.groups.values()):
        yield from tf.random.stateless_normal(
            (ENTROPY_SAMPLES, *group.shape), kernels.fold_in(seed, 0) + position
        ).numpy()


@pytest.fixture(scope="module")
def pair():
    """Our model and the peer with the same weights and alphas, away from their start values."""
    model = make_model(Vinnas(CONFIG, SETTINGS), IMAGE_SHAPE, CLASSES, EXAMPLES)
    generator = np.random.default_rng(0)
    for variable in model.supergraph.trainable_variables:
        if variable.name == "log_variance":
            variable.assign(generator.uniform(-6, -2, variable.shape))
        elif variable.name.startswith("alpha_mean"):
            variable.assign(generator.normal(size=variable.shape))
    for name, term in model.method.terms.items():
        model.scheduled[f"gamma_{name}"].assign(term.gamma)
    search = PeerSearch(Vinnas(CONFIG, SETTINGS), IMAGE_SHAPE, CLASSES, EXAMPLES)
    search.network.load_state_dict(peer.to_peer(search.network, model.supergraph, np.array))
    return model, search


@pytest.fixture(scope="module")
def batch():
    generator = np.random.default_rng(1)
    return (
        generator.normal(size=(BATCH, *IMAGE_SHAPE)).astype("float32"),
        generator.integers(0, CLASSES, BATCH).astype("int64"),
    )


def next_seed(model: SearchModel) -> tf.Tensor:
    """The seed that the model's next step will draw; the model does not move on."""
    state = model.seed_generator.state.numpy()
    seed = kernels.next_seed(model.seed_generator)
    model.seed_generator.state.assign(state)
    return seed


def give_noise(search: PeerSearch, model: SearchModel, seed: tf.Tensor) -> None:
    noise = our_noise(model, seed)
    search.network.use_noise(lambda like: torch.tensor(next(noise)).view_as(like))


def to_torch(batch):
    images, labels = batch
    return torch.tensor(images.transpose(0, 3, 1, 2)), torch.tensor(labels)


def test_logits_equal_the_peers(pair, batch):
    model, search = pair
    seed = next_seed(model)
    ours = model.supergraph(tf.constant(batch[0]), model.method.draw(seed)).numpy()
    give_noise(search, model, seed)
    theirs = search.network(to_torch(batch)[0]).detach().numpy()
    assert np.ptp(theirs) > 0.1
    assert relative_error(ours, theirs) <= TOLERANCE


@pytest.mark.parametrize("kind", ["weight", "alpha"])
def test_gradients_of_a_step_equal_the_peers(pair, batch, kind):
    """Of every kernel's mean and log-variance, of the bias, and of the alphas' means and log-variances."""
    model, search = pair
    give_noise(search, model, next_seed(model))
    recorder = GradientRecorder()
    model.weight_optimizer = model.architecture_optimizer = recorder
    of_weights = kind == "weight"
    model.descend(tuple(map(tf.constant, batch)), weights=of_weights, architecture=not of_weights)

    search.network.zero_grad()
    getattr(search, f"{kind}_loss")(*to_torch(batch)).backward()
    theirs = {
        name: parameter.grad.numpy()
        for name, parameter in search.network.named_parameters()
        if name.startswith("alpha_") == (kind == "alpha")
    }

    def gradient(variable: keras.Variable) -> np.ndarray:
        # The other kind's variables have none.
        return recorder.gradients.get(id(variable), np.full(variable.shape, np.nan))

    ours = peer.to_peer(search.network, model.supergraph, gradient)
    errors = {name: relative_error(ours[name].numpy(), theirs[name]) for name in theirs}
    assert {name: error for name, error in errors.items() if not error <= TOLERANCE} == {}


def test_taking_only_the_needed_gradients_changes_no_step(batch):
    """Two iterations, from the same start and with the same noise."""
    ends = []
    for needed_gradients_only in (False, True):
        torch.manual_seed(0)
        search = PeerSearch(Vinnas(CONFIG, SETTINGS), IMAGE_SHAPE, CLASSES, EXAMPLES, needed_gradients_only)
        start = {name: value.clone() for name, value in search.network.state_dict().items()}
        for _ in range(2):
            search.weight_step(*to_torch(batch))
            search.alpha_step(*to_torch(batch))
        ends.append(search.network.state_dict())
        assert all(not torch.equal(start[name], value) for name, value in ends[-1].items())
    for name, value in ends[0].items():
        torch.testing.assert_close(ends[1][name], value, rtol=1e-4, atol=1e-6)


def images_of_odd_and_even_sides() -> np.ndarray:
    return np.random.default_rng(2).normal(size=(2, 7, 10, 4)).astype("float32")


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    ("kernel_size", "dilation", "depthwise"),
    [((3, 3), 1, True), ((7, 7), 1, True), ((5, 5), 2, True), ((7, 1), 1, False), ((1, 1), 1, False)],
)
def test_convolutions_pad_as_tensorflow_does(kernel_size, dilation, depthwise, stride):
    images = images_of_odd_and_even_sides()
    layer = peer.VariationalConv2d(4, 4, kernel_size, (stride, stride), dilation, groups=4 if depthwise else 1)
    layer.noise = torch.zeros_like
    kernel = layer.mean.detach().numpy()
    if depthwise:
        linear, read = linear_map(tf.constant(images), Convolution(kernel_size, True, dilation), (stride, stride))
        ours = linear(read, tf.constant(kernel.transpose(2, 3, 0, 1)))
    else:
        ours = tf.nn.conv2d(images, kernel.transpose(2, 3, 1, 0), stride, "SAME")
    theirs = layer(torch.tensor(images.transpose(0, 3, 1, 2))).detach().numpy()
    np.testing.assert_allclose(theirs.transpose(0, 2, 3, 1), ours, atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("kind", "pool"), [("max", tf.nn.max_pool2d), ("average", tf.nn.avg_pool2d)])
def test_pools_pad_as_tensorflow_does(kind, pool, stride):
    images = images_of_odd_and_even_sides()
    theirs = peer.Pool(kind, stride)(torch.tensor(images.transpose(0, 3, 1, 2))).numpy()
    np.testing.assert_allclose(theirs.transpose(0, 2, 3, 1), pool(images, 3, stride, "SAME"), atol=1e-6)
