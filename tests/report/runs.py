"""Run folders for the tests of the page, written by the package's own writers; what was found is drawn at random."""

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

from vinnas_tf.architecture.found import Found
from vinnas_tf.architecture.skeleton import cell_groups
from vinnas_tf.architecture.space import SPACES
from vinnas_tf.compress.point import Point
from vinnas_tf.config import CompressConfig, DataConfig, TrainConfig
from vinnas_tf.data.picture import Preparation
from vinnas_tf.export import manifest, pixels
from vinnas_tf.methods import method_from
from vinnas_tf.run.digest import sha256_of
from vinnas_tf.run.files import write_metrics
from vinnas_tf.run.folder import RunDir
from vinnas_tf.search.result import SearchResult

CLASSES = ("<script>", 'b & "c"', "d")
FINGERPRINT = "0123456789abcdef" * 4


def write_search(
    path: Path,
    method: str = "vinnas",
    epochs: int = 4,
    best: int = 2,
    finished: bool = True,
    data: DataConfig | None = None,
    fingerprint: str = FINGERPRINT,
    **settings: Any,
) -> SearchResult:
    """A search whose parameters are random; a method that keeps the best epoch keeps that one, counted from 0."""
    given = {"cells": "N", "states": 2, "channels": 2, "weight_epochs": 1, "seed": 3, **settings}
    made = method_from({"method": method, "epochs": epochs, **given})
    space = SPACES[made.config.space]
    groups = cell_groups(made.config.cells, space, made.config.states, made.primitives)
    variables = made.parameters(groups, keras.Layer().add_weight)
    generator = np.random.default_rng(7)
    kept = best if made.keeps_best_epoch else epochs - 1
    trajectory = {
        name: generator.uniform(0.2, 1, (epochs, *variable.shape)).astype(np.float32)
        for name, variable in variables.items()
    }
    for name in trajectory:
        if name.endswith("/mask"):  # Half of a cell's operations are pruned, the same ones for good.
            trajectory[name][:] = np.arange(trajectory[name][0].size).reshape(trajectory[name][0].shape) % 2
    found = Found(space, made.config.states, made.primitives, {name: of[kept] for name, of in trajectory.items()})
    rows = [
        {
            "epoch": epoch + 1, "cross_entropy": 1 / (epoch + 1), "kl_alphas": 3.0, "kl_alphas_weighted": 0.1 * epoch,
            "weight_accuracy": 0.5, "alpha_accuracy": None if epoch == 0 else 0.25 * epoch, "seconds": 30.0,
        }
        for epoch in range(epochs)
    ]  # fmt: skip
    result = SearchResult(made, made.derive(found), found, kept + 1, rows, trajectory)
    with RunDir(
        path, stage="search", settings=[data or DataConfig(), made.config, made.settings], data_fingerprint=fingerprint
    ) as run:
        result.save(run.file(""))
        if finished:
            run.mark_finished()
        else:
            (run.file("genotype.json")).unlink()
            (run.file("posterior.json")).unlink()
    return result


def write_images(folder: Path) -> None:
    """A folder data set of three classes that noise blurs."""
    generator = np.random.default_rng(0)
    for number, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for index in range(20):
            pixels = np.clip(generator.normal(60 + 50 * number, 60, (8, 8)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index}.png")


def write_export(path: Path, network_sha256: str, fingerprint: str) -> dict[str, Any]:
    """An export of two files, one of which misses its bar; returns its manifest."""
    with RunDir(path, stage="export", settings=[DataConfig()], data_fingerprint=fingerprint) as run:
        files = {}
        for name, size, missed in (
            ("float32", 2000, []),
            ("full_int8", 500, ["top-1 agreement 90.00% is below 98.0%"]),
        ):
            file = run.file(f"tflite/{name}.tflite")
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(bytes(size))
            figures = {
                "images": 12, "accuracy": 0.75, "bytes": size, "gzip_bytes": 40, "agreement": 0.9 if missed else 1.0,
                "largest_difference": 2e-7, "failures": missed, **({"advice": "use float16"} if missed else {}),
                "latency": {"1": {"median_ms": 0.0912}, "2": {"median_ms": 12.34}},
            }  # fmt: skip
            files[f"tflite/{name}.tflite"] = {"precision": name, "sha256": sha256_of(file), "figures": figures}
        content = {
            "format": manifest.FORMAT,
            "class_names": list(CLASSES),
            "image": pixels.describe(Preparation(8, 8, 1)),
            "network_sha256": network_sha256,
            "files": files,
            "baselines": {"tflite/unpruned": {"bytes": 4000, "gzip_bytes": 90}},
        }
        run.file("manifest.json").write_text(json.dumps(content))
        run.mark_finished()
    return content


def write_curve(path: Path, chosen: float | None) -> list[Point]:
    """A compression's curve; where a penalty is chosen, its result."""
    points = [
        Point(0.0, 0.97, 0.004, 1000, 1000, 4400, 9000),
        Point(1e-5, 0.96, 0.005, 300, 290, 1500, 4000),
        Point(1e-4, 0.1, 0.02, 10, 10, 400, 90, connected=False),
    ]
    with RunDir(path, stage="compress", settings=[DataConfig(), CompressConfig()], data_fingerprint=FINGERPRINT) as run:
        write_metrics(run.file("curve.csv"), [vars(point) for point in points])
        if chosen is not None:
            result = {"penalty": chosen, "chosen": f"penalty {chosen:g}: the smallest within max_accuracy_loss=0.01"}
            run.file("result.json").write_text(json.dumps(result))
            run.mark_finished()
    return points


def write_result(path: Path, accuracy: float, parameters: int, seed: int = 0) -> None:
    """A training of which only the figures are there, as a table of several runs reads them."""
    result = {
        "test": {"stripped": {"accuracy": accuracy}},
        "params_stored_nonzero": parameters,
        "flops": {"stripped": 2_500_000},
        "network_sha256": hashlib.sha256(path.name.encode()).hexdigest(),
    }
    with RunDir(
        path, stage="train", settings=[DataConfig(), TrainConfig(seed=seed)], data_fingerprint=FINGERPRINT
    ) as run:
        write_metrics(run.file("metrics.csv"), [{"epoch": 1, "accuracy": 0.5, "seconds": 90.0}])
        run.file("result.json").write_text(json.dumps(result))
        run.mark_finished()


def read_csv(path: Path) -> list[list[str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return [*csv.reader(file)]
