"""Steps that several devices share, on the four into which a process of its own splits its CPU (`four_devices.py`)."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vinnas_tf.config import DeviceConfig
from vinnas_tf.devices import Devices
from vinnas_tf.errors import UserError

CLOSE = 1e-5  # Of values and steps of about 1 and less.


@pytest.fixture(scope="module")
def found(repository: Path) -> dict[str, Any]:
    """What the child finds, by the name of a check."""
    environment = {**os.environ, "PYTHONPATH": str(repository), "CUDA_VISIBLE_DEVICES": "-1"}
    environment["TF_NUM_INTEROP_THREADS"] = "8"  # Two for each device, however few cores there are.
    command = [sys.executable, str(Path(__file__).with_name("four_devices.py"))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_a_search_step_is_the_sum_over_the_parts_each_with_noise_of_its_own(found) -> None:
    """Parts of 4 and 5 images; the norm of the whole gradient is clipped, and Keras's own optimizer sums nothing."""
    assert all(difference < CLOSE for difference in found["search_step"].values()), found["search_step"]


def test_a_training_step_weighs_parts_by_their_images(found) -> None:
    """Parts of 2 and 3 images, classes weighted; running statistics are those of the first device."""
    assert all(difference < CLOSE for difference in found["train_step"].values()), found["train_step"]


@pytest.mark.parametrize("method", ["darts", "bayesnas"])
def test_where_all_parts_are_alike_several_devices_move_as_one(found, method) -> None:
    """By a gradient that looks a step ahead, with moving weights, and by proximal steps behind each step."""
    assert found[method] < CLOSE


def test_three_epochs_on_two_devices_and_then_on_four_end_as_on_one(found) -> None:
    """The search is ended after its first epoch and goes on elsewhere; figures differ as those of seeds do."""
    epochs = found["epochs"]
    assert epochs["rows"] == 3
    mean, spread = np.mean(epochs["one"], axis=0), np.ptp(epochs["one"], axis=0)
    assert np.all(np.abs(np.array(epochs["several"]) - mean) <= 2 * spread + 0.02), epochs
    # Of as many images as there are, whichever device saw them.
    assert epochs["images"] == pytest.approx(round(epochs["images"]), abs=1e-3)


def test_a_network_trained_and_fine_tuned_on_two_devices_has_the_weights_and_keeps_its_zeros(found) -> None:
    tuned = found["fine_tuned"]
    assert tuned["moved"] > 1e-3 and tuned["rows"] == 2
    assert tuned["zeros"] > 0 and tuned["kept"] == 0


def test_what_does_not_fit_the_machine_is_told_in_one_line(found) -> None:
    told = found["refusals"]
    assert told["devices"] == "devices=5 is more than the 4 CPUs that TensorFlow sees here: use devices=4, or all."
    assert told["batch"].startswith("batch_size=7 has fewer than 2 images for each of devices=4: use batch_size=8")
    assert (told["fits"], told["all"]) == ("None", "4")


def test_one_device_asks_nothing_of_tensorflow() -> None:
    one = Devices(DeviceConfig())
    batches = object()
    assert one.shared(batches) is batches and one.steps(batches) is None
    one.require_batch(2)


@pytest.mark.cpu
def test_a_whole_step_is_not_compiled_on_a_cpu() -> None:
    with pytest.raises(UserError, match="jit_compile=on needs a GPU"):
        Devices(DeviceConfig(jit_compile="on"))
