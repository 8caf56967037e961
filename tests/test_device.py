import os
import subprocess
import sys

import pytest

from vinnas_tf.kernels.device import share_cores


@pytest.fixture
def environment(monkeypatch):
    """Where `share_cores` leaves its word for TensorFlow; empty of it, and as it was afterwards."""
    monkeypatch.setattr(os, "environ", {key: value for key, value in os.environ.items() if "INTRAOP" not in key})
    return os.environ


@pytest.mark.parametrize(("cores", "threads"), [(1, "1"), (2, "1"), (3, "1"), (8, "4")])
def test_an_operation_has_half_of_the_cores_that_the_process_may_use(environment, monkeypatch, cores, threads):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    share_cores()
    assert environment["TF_NUM_INTRAOP_THREADS"] == threads


def test_threads_that_the_user_asked_for_stay(environment):
    environment["TF_NUM_INTRAOP_THREADS"] = "7"
    share_cores()
    assert environment["TF_NUM_INTRAOP_THREADS"] == "7"


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="this system does not list a process's threads")
def test_tensorflow_has_the_threads_that_it_is_told_of():
    program = "import os, tensorflow as tf; tf.square(tf.ones([4])); print(len(os.listdir('/proc/self/task')))"

    def threads(of_an_operation: int) -> int:
        asked = {**os.environ, "TF_NUM_INTRAOP_THREADS": str(of_an_operation)}
        return int(subprocess.run([sys.executable, "-c", program], env=asked, capture_output=True, check=True).stdout)

    assert threads(4) == threads(1) + 3
