import os
import subprocess
import sys

import pytest

from vinnas_tf.kernels.device import prepare_machine
from vinnas_tf.search import __main__ as search
from vinnas_tf.train import __main__ as train

VARIABLE = "TF_NUM_INTRAOP_THREADS"


@pytest.fixture
def environment(monkeypatch):
    """The environment without a word on threads, for as long as the test runs."""
    monkeypatch.setattr(os, "environ", {key: value for key, value in os.environ.items() if key != VARIABLE})
    return os.environ


@pytest.mark.parametrize(("cores", "threads"), [(1, None), (2, "1"), (8, None)])
def test_only_two_cores_are_shared(environment, monkeypatch, cores, threads):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    prepare_machine()
    assert environment.get(VARIABLE) == threads


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="this system does not list a process's threads")
def test_tensorflow_gives_an_operation_one_of_two_cores_unless_the_user_says_otherwise():
    program = (
        "import os; os.sched_getaffinity = lambda _: {0, 1}\n"
        "from vinnas_tf.kernels.device import prepare_machine\nprepare_machine()\n"
        "import tensorflow as tf; tf.square(tf.ones([4])); print(len(os.listdir('/proc/self/task')))"
    )

    def threads(**asked: str) -> int:
        environment = {key: value for key, value in os.environ.items() if key != VARIABLE}
        environment |= {"CUDA_VISIBLE_DEVICES": "-1", **asked}
        command = [sys.executable, "-c", program]
        return int(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)

    assert threads() == threads(**{VARIABLE: "1"}) == threads(**{VARIABLE: "4"}) - 3


class DataAreRead(Exception):
    """Raised instead."""


@pytest.mark.parametrize(
    ("module", "flags"),
    [(search, []), (train, ["--genotype=docs/records/mnist_laptop/seed-31/train/genotype.json"])],
)
def test_commands_share_the_cores_before_they_read_data(environment, monkeypatch, repository, module, flags):
    """For reading data computes with TensorFlow, which then has its threads."""

    def read(*_):
        raise DataAreRead(environment.get(VARIABLE))

    monkeypatch.chdir(repository)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    monkeypatch.setattr(module, "load_train", read)
    with pytest.raises(DataAreRead, match="^1$"):
        module.main(flags)
