"""The found network and its gradients against a plain PyTorch equivalent, for equal weights and equal noise."""

import numpy as np
import pytest
import tensorflow as tf

from tests.gradient_recorder import GradientRecorder
from vinnas_tf import kernels
from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.config import TrainConfig
from vinnas_tf.network.build import gaussian_layers
from vinnas_tf.train.stage import make_model, make_network

torch = pytest.importorskip("torch", reason="PyTorch, the benchmark extra, is not installed")

from benchmarks.peer_network import PeerTraining  # noqa: E402

BATCH, CLASSES, EXAMPLES, IMAGE_SHAPE = 6, 5, 40, (11, 11, 3)
NORMAL = (Edge(2, 0, "sep_conv_5x5"), Edge(2, 1, "max_pool_3x3"), Edge(3, 1, "skip"), Edge(3, 2, "dil_conv_3x3"))
REDUCTION = (Edge(2, 0, "conv_7x1_1x7"), Edge(2, 1, "skip"), Edge(3, 1, "avg_pool_3x3"), Edge(3, 2, "dil_conv_5x5"))


def to_peer(layer_name: str, name: str, value: np.ndarray) -> np.ndarray:
    """Keras's layouts, outputs last, to PyTorch's."""
    if value.ndim == 2:
        return value.T
    depthwise = value.ndim == 4 and value.shape[-1] == 1
    return value.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1)) if value.ndim == 4 else value


PEER_NAMES = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


@pytest.fixture(scope="module", params=[1, 2], ids=["stem stride 1", "stem stride 2"])
def pair(request, tmp_path_factory):
    """Our training model and the peer with the same weights, away from their start values."""
    path = tmp_path_factory.mktemp("peer") / "genotype.json"
    genotype = Genotype(2, {"normal": NORMAL, "reduction": REDUCTION})
    genotype.save(path)
    config = TrainConfig(
        genotype=str(path), cells="NRN", channels=4, stem_stride=request.param, batch_size=BATCH, gamma_weights=0.5
    )
    network = make_network(config, genotype, IMAGE_SHAPE, CLASSES)
    generator = np.random.default_rng(0)
    for variable in network.weights:
        if variable.name == "log_variance":
            variable.assign(generator.uniform(-6, -2, variable.shape))
        elif variable.name in ("gamma", "beta", "bias"):
            variable.assign(generator.uniform(0.5, 1.5, variable.shape))
    model = make_model(network, config, EXAMPLES)
    model.gamma.assign(config.gamma_weights)
    training = PeerTraining(config, IMAGE_SHAPE[-1], CLASSES, EXAMPLES)
    state = training.network.state_dict()
    for variable in network.weights:
        layer, name = variable.path.split("/")[-2:]
        key = f"parts.{layer}.{PEER_NAMES.get(name, name)}"
        if key in state:
            state[key] = torch.tensor(to_peer(layer, name, variable.numpy()))
    training.network.load_state_dict(state)
    return model, training


def test_gradients_of_a_training_step_equal_the_peers(pair):
    model, training = pair
    generator = np.random.default_rng(1)
    images = generator.normal(size=(BATCH, *IMAGE_SHAPE)).astype("float32")
    labels = generator.integers(0, CLASSES, BATCH)
    for layer in gaussian_layers(model.network):
        state = layer.seed_generator.state.numpy()
        seed = kernels.fold_in(tf.cast(layer.seed_generator.next(), tf.int32), 0)
        layer.seed_generator.state.assign(state)

        def noise(like, seed=seed):
            if like.ndim == 2:
                return torch.tensor(kernels.standard_normal(seed, like.shape).numpy())
            shape = tuple(like.permute(0, 2, 3, 1).shape)
            return torch.tensor(kernels.standard_normal(seed, shape).numpy().transpose(0, 3, 1, 2))

        training.network.parts[layer.name].noise = noise
    recorder = GradientRecorder()
    model.optimizer = recorder
    model.train_step((tf.constant(images), tf.constant(labels)))
    training.network.zero_grad()
    training.loss(torch.tensor(images.transpose(0, 3, 1, 2)), torch.tensor(labels)).backward()
    theirs = {name: parameter.grad.numpy() for name, parameter in training.network.named_parameters()}
    assert len(theirs) == len(recorder.gradients)
    for variable in model.network.trainable_variables:
        layer, name = variable.path.split("/")[-2:]
        expected = theirs[f"parts.{layer}.{PEER_NAMES.get(name, name)}"]
        error = np.abs(to_peer(layer, name, recorder.gradients[id(variable)]) - expected).max() / np.abs(expected).max()
        assert error <= 1e-4, variable.path
