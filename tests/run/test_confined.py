"""What runs confined gives its answer, and neither writes nor goes on for ever."""

import os
import signal
import socket
import subprocess
import sys
import tempfile

import pytest

from vinnas_tf.errors import DataError, FileError
from vinnas_tf.run.confined import forbid_writing, run_confined

_ASK = """import sys; from pathlib import Path
from vinnas_tf.run.confined import forbid_writing
sys.exit(not forbid_writing(Path(sys.argv[1])))"""


@pytest.fixture(scope="module")
def landlock(tmp_path_factory):
    if subprocess.run([sys.executable, "-c", _ASK, str(tmp_path_factory.mktemp("scratch"))]).returncode:
        pytest.skip("this system has no Landlock, by which a process gives up its rights")


def test_the_answer_comes_back():
    assert run_confined(lambda: [["cat", 0.5]], "it", 60) == [["cat", 0.5]]


def test_an_error_of_ours_comes_back():
    def refuse():
        raise DataError("no picture")

    with pytest.raises(FileError, match="^no picture$"):
        run_confined(refuse, "it", 60)


def test_what_never_ends_is_ended():
    with pytest.raises(FileError, match="model took longer than 1 s and was ended"):
        run_confined(lambda: [None for _ in iter(int, 1)], "model", 1)


def test_a_crash_takes_nobody_along():
    with pytest.raises(FileError, match="model ended the process that ran it"):
        run_confined(lambda: os.kill(os.getpid(), signal.SIGKILL), "model", 60)


@pytest.mark.parametrize("harm", ["write", "change", "cut", "remove", "rename", "make"])
def test_nothing_is_written(harm, tmp_path, landlock):
    (tmp_path / "result.json").write_text("{}")

    def work():
        path = tmp_path / "result.json"
        try:
            match harm:
                case "write":
                    (tmp_path / "new").write_text("x")
                case "change":
                    path.open("r+").write("x")
                case "cut":
                    os.truncate(path, 0)
                case "remove":
                    path.unlink()
                case "rename":
                    path.rename(tmp_path / "other")
                case "make":
                    (tmp_path / "folder").mkdir()
        except PermissionError:
            return "refused"
        return "done"

    assert run_confined(work, "it", 60) == "refused"
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("result.json", "{}")]


def test_nothing_is_sent(landlock):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def work():
            try:
                socket.create_connection(server.getsockname(), timeout=5).close()
            except PermissionError:
                return "refused"
            return "sent"

        assert run_confined(work, "it", 60) == "refused"


def test_a_folder_that_is_allowed_can_be_written(tmp_path, landlock):
    (tmp_path / "scratch").mkdir()
    program = (
        "import sys; from pathlib import Path; from vinnas_tf.run.confined import forbid_writing\n"
        "folder = Path(sys.argv[1]); forbid_writing(folder / 'scratch')\n"
        "(folder / 'scratch' / 'file').write_text('x'); Path('/dev/null').write_text('x')\n"
        "try: (folder / 'file').write_text('x')\n"
        "except PermissionError: print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("refused\n", "")
    assert (tmp_path / "scratch" / "file").read_text() == "x" and not (tmp_path / "file").exists()


def test_elsewhere_it_is_said_that_nothing_was_taken_away(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(tempfile, "tempdir", None)  # Both are put back.
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert not forbid_writing(tmp_path)
