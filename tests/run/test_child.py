"""A command in a process of its own: what comes back of it, and that nothing of it is left."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vinnas_tf.errors import UserError
from vinnas_tf.run.child import run_command, run_in_sight


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes a module that a child can run; returns its name."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def write(code: str) -> str:
        (tmp_path / "some_command.py").write_text(code)
        return "some_command"

    return write


def test_it_gets_its_flags_and_its_output_goes_to_the_log(module, tmp_path):
    name = module("import sys\nprint(__name__, *sys.argv[1:])\nprint('to stderr', file=sys.stderr)\n")
    (tmp_path / "log").write_text("before\n")
    run_command(name, ["--a=1", "--b=two words"], tmp_path / "log")
    assert (tmp_path / "log").read_text() == "before\n__main__ --a=1 --b=two words\nto stderr\n"


def test_its_last_error_is_told(module, tmp_path):
    name = module("import sys\nprint('error: first')\nprint('error: no such set')\nprint('more')\nsys.exit(2)\n")
    with pytest.raises(UserError, match="^no such set$"):
        run_command(name, [], tmp_path / "log")


@pytest.mark.parametrize(
    ("code", "ended"),
    [("raise KeyError('bug')", "exit code 1"), ("import os\nos.kill(os.getpid(), 9)", "signal 9")],
)
def test_an_end_without_an_error_line_names_the_log(module, tmp_path, code, ended):
    (tmp_path / "log").write_text("error: of another run\n")
    with pytest.raises(UserError) as caught:
        run_command(module(code), [], tmp_path / "log")
    assert str(caught.value) == f"some_command ended with {ended}; what it printed is in {tmp_path / 'log'}."


def test_an_interrupted_one_interrupts(module, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run_command(module("import sys\nsys.exit(130)\n"), [], tmp_path / "log")


def test_in_sight_it_has_the_terminal_of_this_process_and_says_itself_what_is_wrong(module, capfd):
    name = module("import sys\nprint(*sys.argv[1:])\nprint('error: no such set', file=sys.stderr)\nsys.exit(2)\n")
    print("before")
    assert run_in_sight(name, ["--a=1"]) == 2
    assert capfd.readouterr() == ("before\n--a=1\n", "error: no such set\n")


@pytest.mark.parametrize(("code", "ended"), [("", 0), ("import os\nos.kill(os.getpid(), 9)", -9)])
def test_in_sight_its_exit_code_comes_back(module, code, ended):
    assert run_in_sight(module(code), []) == ended


def test_in_sight_an_interrupted_one_interrupts(module):
    with pytest.raises(KeyboardInterrupt):
        run_in_sight(module("import sys\nsys.exit(130)\n"), [])


def written_after_death(program: str, folder: Path, by: signal.Signals) -> str:
    """Kills a program whose child has opened the pipe `alive`; what that child wrote into it until it ended too."""
    places = os.pathsep.join([str(folder), *sys.path])
    environment = {**os.environ, "PYTHONPATH": places}
    parent = subprocess.Popen([sys.executable, "-c", program], env=environment, stderr=subprocess.DEVNULL)
    with open(folder / "alive") as pipe:  # Waits until the child has opened it.
        os.kill(parent.pid, by)
        written = pipe.read()  # Waits until the child is gone.
    assert parent.wait() != 0
    return written


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_dies_with_its_parent(module, tmp_path, by):
    """The child holds a named pipe open; its end is the end of the child."""
    os.mkfifo(tmp_path / "alive")
    name = module(f"import signal\npipe = open({str(tmp_path / 'alive')!r}, 'w')\nsignal.pause()\n")
    program = "import sys, pathlib\nfrom vinnas_tf.run.child import run_command, run_in_sight\n"
    program += f"run_command({name!r}, [], pathlib.Path({str(tmp_path / 'log')!r}))\n"
    assert written_after_death(program, tmp_path, by) == ""


def test_what_multiprocessing_spawns_dies_with_its_parent_too(module, tmp_path):
    os.mkfifo(tmp_path / "alive")
    name = module(
        "import multiprocessing, signal\nfrom vinnas_tf.run.child import die_with_the_parent\n"
        "def serve(alive):\n"
        "    die_with_the_parent(multiprocessing.parent_process().sentinel)\n"
        "    pipe = open(alive, 'w')\n"
        "    signal.pause()\n"
    )
    program = f"import multiprocessing\nfrom {name} import serve\ncontext = multiprocessing.get_context('spawn')\n"
    program += f"child = context.Process(target=serve, args=({str(tmp_path / 'alive')!r},))\n"
    program += "child.start()\nchild.join()\n"
    assert written_after_death(program, tmp_path, signal.SIGKILL) == ""
