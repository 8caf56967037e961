"""The peer is the same network: equal outputs for equal weights, both ways, and as many zeros as it was told."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import keras
import numpy as np
import pytest

from benchmarks.magnitude_peer import give_back, legacy_keras, pruning_steps, twin
from benchmarks.magnitude_pruning import main
from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.config import DataConfig, TrainConfig
from vinnas_tf.network.build import build_network
from vinnas_tf.run.folder import RunDir
from vinnas_tf.train.__main__ import main as train

# Every kind of layer, and the dilated convolution with a stride that legacy Keras lacks.
GENOTYPE = Genotype(
    2,
    {
        "reduction": (
            Edge(2, 0, "dil_conv_5x5"),
            Edge(2, 1, "sep_conv_3x3"),
            Edge(3, 0, "max_pool_3x3"),
            Edge(3, 1, "skip"),
            Edge(3, 2, "conv_7x1_1x7"),
            Edge(3, 2, "avg_pool_3x3"),
        )
    },
)


def test_the_twin_computes_the_same_and_hands_its_weights_back() -> None:
    tf_keras, tfmot = legacy_keras()
    network = build_network(
        GENOTYPE, cells="R", channels=4, image_shape=(11, 9, 1), classes=5, stem_stride=2, variational=False
    )
    sparsity = tfmot.sparsity.keras.ConstantSparsity(0.75, begin_step=0, frequency=1)
    peer = twin(network, tf_keras, tfmot, lambda _: sparsity)
    images = np.random.default_rng(0).normal(size=(32, 11, 9, 1)).astype("float32")
    np.testing.assert_allclose(peer(images), network(images), atol=1e-5)
    labels = np.eye(5)[np.random.default_rng(1).integers(5, size=32)]
    peer.compile("adam", tf_keras.losses.CategoricalCrossentropy(from_logits=True))
    peer.fit(images, labels, epochs=3, verbose=0, callbacks=[tfmot.sparsity.keras.UpdatePruningStep()])
    stripped = tfmot.sparsity.keras.strip_pruning(peer)
    give_back(stripped, network)
    np.testing.assert_allclose(network(images), stripped(images), atol=1e-5)
    for layer in network.layers:
        if hasattr(layer, "mean"):  # Depthwise kernels too, which the library leaves alone by itself.
            assert np.mean(layer.mean.numpy() == 0) == pytest.approx(0.75, abs=0.5 / layer.mean.shape.num_elements())
    assert keras.__version__.startswith("3")


@pytest.mark.parametrize(("start", "end"), [(0, 12), (0, 7), (890, 6230), (36, 324)])
def test_the_schedule_ends_at_the_sparsity_it_was_told(start: int, end: int) -> None:
    _, tfmot = legacy_keras()
    last, frequency = pruning_steps(start, end)
    schedule = tfmot.sparsity.keras.PolynomialDecay(0.0, 0.9, start, last, frequency=frequency)
    moves = {step: float(share) for step in range(1, end + 1) for move, share in [schedule(step)] if move}
    assert max(moves.values()) == pytest.approx(0.9)
    assert len(moves) >= min(7, end)
    assert 0.9 * end < max(moves) <= end


def test_the_peer_of_a_training_has_its_counts_and_resumes(tmp_path: Path) -> None:
    """A real training; its peer once in one go, and once broken off while it prunes and again after that."""
    flags = ["--preset=smoke", "--epochs=4", "--gamma_start_epoch=1", "--gamma_end_epoch=3", "--gamma_weights=5"]
    flags += ["--log_variance_rate=30", "--fine_tuning_epochs=2"]
    genotype, run_dir = tmp_path / "found.json", tmp_path / "run"
    GENOTYPE.save(genotype)
    train([*flags, "--cells=R", f"--genotype={genotype}", f"--run_dir={run_dir}"])
    result = json.loads((run_dir / "train" / "result.json").read_text())
    assert result["weights_nonzero"] < 0.9 * result["weights_dense"]
    broken = tmp_path / "broken"
    shutil.copytree(run_dir, broken)
    tf_keras, tfmot = legacy_keras()
    with pytest.MonkeyPatch.context() as patch:
        cosine = Mock(wraps=tf_keras.optimizers.schedules.CosineDecay)
        patch.setattr(tf_keras.optimizers.schedules, "CosineDecay", cosine)
        main([f"--run_dir={run_dir}"])
    assert cosine.call_args.args[1] == 6 * (result["train_images"] // 32)  # batches of the preset
    figures = json.loads((run_dir / "train" / "magnitude_pruning.json").read_text())
    assert figures["magnitude"]["weights_nonzero"] == pytest.approx(
        result["weights_nonzero"], abs=len(result["layers"])
    )
    checkpoints = run_dir / "train" / "magnitude_pruning" / result["network_sha256"][:12]
    assert [path.name for path in checkpoints.glob("*.index")] == ["ckpt-6.index"]  # one an epoch, 4 + 2 of them
    assert figures["variational"]["test_accuracy"] == result["test"]["stripped"]["accuracy"]
    for epoch in (2, 5):
        with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
            interrupt = interrupt_in_epoch(epoch)
            patch.setattr(tfmot.sparsity.keras.UpdatePruningStep, "on_epoch_begin", interrupt, raising=False)
            main([f"--run_dir={broken}"])
    main([f"--run_dir={broken}"])
    assert json.loads((broken / "train" / "magnitude_pruning.json").read_text()) == figures


def interrupt_in_epoch(number: int) -> Callable[..., None]:
    def on_epoch_begin(_: object, epoch: int, logs: dict | None = None) -> None:
        if epoch == number:
            raise KeyboardInterrupt

    return on_epoch_begin


def test_a_training_by_a_recipe_that_the_peer_has_not_is_one_line(tmp_path, capsys: pytest.CaptureFixture) -> None:
    settings = [DataConfig(), TrainConfig(weight_decay=3e-4)]
    with RunDir(tmp_path, stage="train", settings=settings, data_fingerprint="") as run_dir:
        run_dir.file("result.json").write_text("{}")
        run_dir.mark_finished()
    with pytest.raises(SystemExit) as caught:
        main([f"--run_dir={tmp_path}"])
    assert caught.value.code == 2
    assert "was trained with --weight_decay=0.0003, and the peer has 0.0: name" in capsys.readouterr().err


def test_a_folder_without_a_training_is_one_line(tmp_path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as caught:
        main([f"--run_dir={tmp_path}"])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "has no finished train" in error
