"""Signals that ask a command to end wait until what is being written is whole."""

import os
import signal
from pathlib import Path

import pytest

from vinnas_tf.errors import FileError
from vinnas_tf.run.ending import CODES, Terminated, asked_to_end, finishing
from vinnas_tf.run.files import write_atomically

SIGNALS = [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]


class Interrupting(str):
    """A text that sends a signal to this process when it is encoded: while the file is open and still empty."""

    number: signal.Signals

    def encode(self, *args: str) -> bytes:
        os.kill(os.getpid(), self.number)
        return super().encode(*args)


@pytest.mark.parametrize(("number", "kind"), SIGNALS)
def test_a_file_that_is_being_written_is_finished(number: signal.Signals, kind: type, tmp_path: Path) -> None:
    text = Interrupting("all of it")
    text.number = number
    path = tmp_path / "a.json"
    with pytest.raises(KeyboardInterrupt) as caught, asked_to_end():
        write_atomically(path, text)
    assert type(caught.value) is kind
    assert CODES[kind] == 128 + number
    assert path.read_text() == "all of it"
    assert [one.name for one in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(("number", "kind"), SIGNALS)
def test_between_writes_it_comes_at_once(number: signal.Signals, kind: type) -> None:
    with pytest.raises(KeyboardInterrupt) as caught, asked_to_end():
        os.kill(os.getpid(), number)
        raise AssertionError("the signal was not raised")
    assert type(caught.value) is kind


def test_a_write_that_fails_does_not_swallow_it() -> None:
    with pytest.raises(Terminated) as caught, asked_to_end(), finishing():
        os.kill(os.getpid(), signal.SIGTERM)
        raise FileError("the disk is full")
    assert isinstance(caught.value.__context__, FileError)
    with asked_to_end(), finishing():
        pass  # It is not raised twice.


def test_what_the_process_was_started_deaf_to_stays_ignored_and_all_is_as_before() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with asked_to_end():
            os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before[1])
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
