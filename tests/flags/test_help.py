"""The text of --help where Python keeps no docstrings."""

import os
import subprocess
import sys

PROGRAM = """
import sys
import vinnas_tf.config
from vinnas_tf.flags import docstring, read_flags
kinds = vinnas_tf.config.DataConfig, vinnas_tf.config.TrainConfig
read_flags(["--help"], *kinds, command="train", usage=docstring(vinnas_tf.config))
"""


def test_it_is_the_same_without_docstrings(repository):
    env = {**os.environ, "PYTHONPATH": str(repository)}
    shown = [
        subprocess.run([sys.executable, *flags, "-c", PROGRAM], env=env, capture_output=True, text=True, check=True)
        for flags in ((), ("-O",), ("-OO",))
    ]
    assert shown[0].stdout == shown[1].stdout == shown[2].stdout
    paragraphs = shown[2].stdout.split("\n\n")
    assert paragraphs[0] == "Every setting of a run, as plain validated data: a dataclass for each stage."
    assert any(
        text.startswith("Which images a run sees, and how they are prepared.\n  --dataset=") for text in paragraphs
    )
