"""The command line that a budget prints, read back by a shell."""

import shlex
import subprocess
import sys

import pytest

from vinnas_tf.config import PipelineConfig, RunConfig
from vinnas_tf.flags import read_flags
from vinnas_tf.pipeline.plan import commands
from vinnas_tf.pipeline.prepare import command

LONG = "--data_fraction=1.0 --cells=RNR --channels=16 --epochs=33 --weight_epochs=3 --gamma_start_epoch=3"
FOLDER = {"dataset": "folder:/my pictures", "preset": "own_images", "image_size": 32, "max_bytes": 9, "seed": 3}


@pytest.mark.parametrize(
    "settings",
    [
        {**FOLDER, "search": LONG, "train": "--cells=RNR --epochs=90", "min_accuracy": 0.97},
        {**FOLDER, "search": "--cells='RN' \"--states=1\""},  # With quotes in it.
        {},
    ],
)
def test_a_shell_reads_what_leads_to_the_same_stages(settings, tmp_path):
    config = PipelineConfig(**settings, budget_minutes=10.0)
    text = command(config)
    assert max(map(len, text.splitlines())) <= 80
    program = "import sys; print('\\0'.join(sys.argv[1:]))"
    shown = text.replace("python -m vinnas_tf", f"{shlex.quote(sys.executable)} -c {shlex.quote(program)}", 1)
    printed = subprocess.run(["bash", "-c", shown], capture_output=True, text=True, check=True).stdout
    words = [word for word in printed.rstrip("\n").split("\0") if word]
    again = read_flags(words, PipelineConfig, RunConfig, command="pipeline", usage="")[PipelineConfig]
    assert (again.bounds, again.budget_minutes) == (config.bounds, 0)
    assert commands(again, tmp_path).flags == commands(config, tmp_path).flags
