"""Random search with a proxy: cells drawn at random, each trained on its own; the best on held-out images is kept."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks.nasbench201_table import cell_code
from vinnas_tf.architecture.space import NASBENCH201
from vinnas_tf.config import DataConfig, SearchConfig, TrainConfig
from vinnas_tf.data.batches import Normalization, evaluation_batches, training_batches
from vinnas_tf.data.images import load_train, split_halves
from vinnas_tf.flags import read_flags
from vinnas_tf.methods import method_variants
from vinnas_tf.methods.random_search import random_genotype
from vinnas_tf.network.evaluation import evaluate
from vinnas_tf.run.files import write_atomically
from vinnas_tf.train.stage import make_model, make_network


def best_of_random(
    seed: int,
    budget: float,
    epochs: int,
    path: Path,
    clock: Callable[[], float] = time.monotonic,
    flags: Sequence[str] = (),
) -> tuple[str, float]:
    """Draws and trains cells until the time is up, in the proxy of the preset nasbench201.

    Each cell is a network of deterministic weights of its own, trained on the half of the images that a search trains
    weights on, for as many epochs, and judged by its accuracy on the other half. The first cell is always finished.

    Args:
        seed: of the split, the draws and the trainings.
        budget: seconds; a cell is begun only while the mean cell so far would still fit.
        epochs: of each training.
        path: JSON file with what came out; where it tells of the same budget, nothing is trained.
        clock: tells the seconds.
        flags: of the search whose proxy it is, beside the preset.

    Returns:
        The best cell's six digits, and the seconds that all trainings took.
    """
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        if before.get("budget") == budget:
            return before["best"], before["seconds"]
    variants = method_variants()
    settings = read_flags(
        ["--preset=nasbench201", *flags], DataConfig, SearchConfig, command="search", usage="", variants=variants
    )
    data, config = settings[DataConfig], settings[SearchConfig]
    generator = np.random.default_rng(seed)
    dataset = load_train(data, seed)
    weight_half, alpha_half = split_halves(dataset.train, seed)
    normalization = Normalization.of(dataset.train)
    judged: list[dict] = []
    started = clock()
    while not judged or (clock() - started) * (1 + 1 / len(judged)) <= budget:
        genotype = random_genotype(NASBENCH201, config.states, ["normal"], generator)
        training = TrainConfig(
            cells=config.cells,
            channels=config.channels,
            variational=False,
            epochs=epochs,
            batch_size=config.batch_size,
            optimizer=config.weight_optimizer,
            learning_rate=config.weight_learning_rate,
            final_learning_rate=config.final_weight_learning_rate,
            weight_decay=config.weight_decay,
            clip_norm=config.weight_clip_norm,
            label_smoothing=config.label_smoothing,
            gamma_weights=0.0,
            seed=seed,
        )
        network = make_network(training, genotype, dataset.train.image_shape, len(dataset.class_names))
        model = make_model(network, training, len(weight_half))
        shared: dict[str, Any] = {"batch_size": config.batch_size, "normalization": normalization}
        batches = training_batches(weight_half, augment=data.augment, seed=seed, first_epoch=0, epochs=epochs, **shared)
        steps = len(weight_half) // config.batch_size
        model.fit(batches, steps_per_epoch=steps, epochs=epochs, shuffle=False, verbose=0)  # The data shuffles itself.
        accuracy = evaluate(network, evaluation_batches(alpha_half, **shared)).accuracy
        judged.append({"cell": cell_code(genotype), "held_out_accuracy": accuracy})
        keras.backend.clear_session()
    best = max(judged, key=lambda one: one["held_out_accuracy"])["cell"]
    seconds = clock() - started
    written = {"best": best, "budget": budget, "seconds": seconds, "cells": judged}
    write_atomically(path, json.dumps(written, indent=2) + "\n")
    return best, seconds
