"""What is told of the steps of a command, in a log and on a terminal."""

import contextlib
import os
import re

from vinnas_tf.export.progress import Progress

LINE = r" *{}/3  {} +about \d+:\d\d left"


def run(steps: int) -> None:
    progress = Progress(steps)
    for number in range(steps):
        progress.step(f"tflite/dynamic_int8.tflite written and proven {number}")


def test_a_log_gets_a_plain_line_a_step(capsys):
    run(3)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    for number, line in enumerate(lines):
        assert re.fullmatch(LINE.format(number + 1, f"tflite/dynamic_int8.tflite written and proven {number}"), line)
        assert len(line) <= 80
    assert lines[-1].endswith("about 0:00 left")


def test_a_terminal_shows_the_step_that_runs():
    reader, writer = os.openpty()
    with open(writer, "w") as terminal, contextlib.redirect_stdout(terminal):
        run(3)
    shown = ""
    with (
        open(reader, "rb", buffering=0) as screen,
        contextlib.suppress(OSError),
    ):  # Raised at the end of a closed terminal.
        while part := screen.read(10_000):
            shown += part.decode()
    assert re.findall(r"(\d)/3  \.\.\.", shown) == ["1", "2", "3"]
    assert len(re.findall(r"about \d+:\d\d left\r\n", shown)) == 3
    assert max(len(part) for part in re.split(r"[\r\n]", shown)) <= 80
