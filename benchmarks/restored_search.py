"""A finished search of channels, brought back from its run folder: its network, images and probabilities."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vinnas_tf.config import DataConfig, SearchConfig, restored
from vinnas_tf.data.batches import Normalization
from vinnas_tf.data.images import load_test, load_train
from vinnas_tf.data.search_images import SearchImages
from vinnas_tf.methods import make_method, method_class
from vinnas_tf.methods.channels import ChannelMethod
from vinnas_tf.network.evaluation import evaluate
from vinnas_tf.network.masks import MaskedNetwork
from vinnas_tf.run.checkpoint import EpochCheckpoint
from vinnas_tf.run.folder import stage_record
from vinnas_tf.search.backbone import MaskedBackbone
from vinnas_tf.search.candidates import Judge
from vinnas_tf.search.channels import fine_tune_candidate, measured_network
from vinnas_tf.search.stage import make_model
from vinnas_tf.train.images import TrainingImages
from vinnas_tf.train.progress import LOGGED


@dataclass(frozen=True, eq=False)
class RestoredSearch:
    """A search after its last epoch.

    Attributes:
        method: its method.
        data: how its images were prepared.
        images: those that it learnt from, and those held out.
        normalization: statistics of its training images.
        masked: its network, with the statistics that candidates are judged with.
        drop: the probability with which a candidate drops each channel.
    """

    method: ChannelMethod
    data: DataConfig
    images: SearchImages
    normalization: Normalization
    masked: MaskedNetwork
    drop: np.ndarray

    def judge(self) -> Judge:
        """Judges candidates by held-out images."""
        return Judge(self.masked, self.images.watched, self.normalization)

    def test_judge(self) -> Judge:
        """Judges them by test images, which nothing may be chosen by."""
        return Judge(self.masked, load_test(self.data), self.normalization)

    def fine_tuned(self, mask: np.ndarray) -> float:
        """Held-out accuracy of a candidate after it was fine-tuned."""
        images = TrainingImages(self.images.weights, self.images.watched, self.normalization)
        network = self.masked.dropped(mask)
        fine_tune_candidate(network, images, self.data.augment, self.method, None, LOGGED)
        return evaluate(network, images.batches(images.held_out)).accuracy


def restore(run_dir: Path, fine_tuning_epochs: int) -> RestoredSearch:
    """Brings back a finished search of channels, with so many epochs of fine-tuning for its candidates."""
    settings = stage_record(run_dir, "search")["settings"]
    data, config = restored(DataConfig, settings), restored(SearchConfig, settings)
    own: Any = restored(method_class(config.method).Settings, settings)
    method = make_method(config, dataclasses.replace(own, fine_tuning_epochs=fine_tuning_epochs))
    assert isinstance(method, ChannelMethod)
    dataset = load_train(data, config.seed)
    images, normalization = method.split(dataset.train, config.seed), Normalization.of(dataset.train)
    model = make_model(method, dataset.train.image_shape, len(dataset.class_names), len(images.weights))
    EpochCheckpoint(
        model, [model.weight_optimizer, model.architecture_optimizer], run_dir / "search" / "checkpoints"
    ).restore()
    backbone = model.supergraph
    assert isinstance(backbone, MaskedBackbone)
    masked = measured_network(model, backbone, images, normalization)
    drop = method.candidate_rates(backbone.found(), masked.weights_of_channel)
    return RestoredSearch(method, data, images, normalization, masked, drop)
