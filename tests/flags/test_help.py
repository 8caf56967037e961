"""The text of --help: its order, and that it is there where Python keeps no docstrings."""

import dataclasses
import os
import re
import subprocess
import sys

import pytest

from vinnas_tf.config import HEADINGS, DataConfig, RunConfig, TrainConfig
from vinnas_tf.config.setting import FILES, IMAGES, LENGTH, NETWORK
from vinnas_tf.flags import read_flags

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


def test_flags_stand_under_what_a_person_decides_whatever_dataclass_they_are_of(capsys):
    with pytest.raises(SystemExit):
        read_flags(["--help"], DataConfig, TrainConfig, RunConfig, command="train", usage="Trains.")
    blocks = {block.split("\n  --")[0]: block for block in capsys.readouterr().out.split("\n\n")}
    headings = [heading for heading in blocks if heading in HEADINGS]
    assert headings == [heading for heading in HEADINGS if heading in headings]
    placed = {IMAGES: "dataset", NETWORK: "channels", LENGTH: "epochs", FILES: "overwrite"}
    for heading, name in placed.items():
        assert any(line.startswith((f"  --{name}=", f"  --[no]{name} ")) for line in blocks[heading].splitlines())
    fields = [field.name for kind in (DataConfig, TrainConfig, RunConfig) for field in dataclasses.fields(kind)]
    text = "\n".join(blocks.values())
    assert [len(re.findall(rf"^  --(?:\[no\])?{name}[ =]", text, re.MULTILINE)) for name in fields] == [1] * len(fields)
    assert max(map(len, text.splitlines())) <= 80
