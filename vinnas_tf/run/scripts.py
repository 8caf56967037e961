"""The installed commands: `vinnas-search` is `python -m vinnas_tf.search`, and so on.

A module that is run as `__main__` makes the process ready before it imports anything else. So each script runs its
module that way, and doesn't import it.
"""

import runpy


def pipeline() -> None:
    """`vinnas`."""
    _run("vinnas_tf")


def search() -> None:
    """`vinnas-search`."""
    _run("vinnas_tf.search")


def train() -> None:
    """`vinnas-train`."""
    _run("vinnas_tf.train")


def compress() -> None:
    """`vinnas-compress`."""
    _run("vinnas_tf.compress")


def compare() -> None:
    """`vinnas-compare`."""
    _run("vinnas_tf.compare")


def report() -> None:
    """`vinnas-report`."""
    _run("vinnas_tf.report")


def export() -> None:
    """`vinnas-export`."""
    _run("vinnas_tf.export")


def verify() -> None:
    """`vinnas-verify`."""
    _run("vinnas_tf.export.verify")


def predict() -> None:
    """`vinnas-predict`."""
    _run("vinnas_tf.export.predict")


def _run(module: str) -> None:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
