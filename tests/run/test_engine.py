"""Jobs side by side: the order they begin in, the cores they have, and that none outlives what started it."""

import os
from pathlib import Path

import pytest

from vinnas_tf.errors import FileError, SettingError
from vinnas_tf.run.engine import Job, run_all
from vinnas_tf.run.engines import Local, make_engine

WAITS = """
import os, pathlib
pathlib.Path("whole").write_text(str(os.getpid()))
os.replace("whole", "pid")
while True:
    pass
"""
CORES = sorted(os.sched_getaffinity(0))
two_cores = pytest.mark.skipif(len(CORES) < 2, reason="it needs two cores")


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Makes jobs that run a piece of Python each, in `tmp_path`."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def make(name: str, code: str) -> Job:
        (tmp_path / f"job_{name}.py").write_text(code)
        return Job(name, f"job_{name}", [], tmp_path / f"{name}.log")

    return make


def test_a_task_waits_for_what_it_needs_and_others_go_first(jobs, tmp_path):
    code = "open('order', 'a').write(__file__[-4])"
    needs = {"a": ["c"], "b": [], "c": ["b", "done before"], "d": ["a"]}
    ended = [task for task, _ in run_all("abcd", needs.get, lambda task: jobs(task, code), Local(1))]
    assert ended == list("bcad")
    assert (tmp_path / "order").read_text() == "bcad"


@two_cores
def test_two_at_a_time_share_the_cores_out(jobs, tmp_path):
    """Each waits until the other has begun, so that one after the other they would not end."""
    code = """
import os, pathlib, time
pathlib.Path(f"begun{__file__[-4]}").write_text(str(sorted(os.sched_getaffinity(0))))
while len(list(pathlib.Path(".").glob("begun*"))) < 2:
    pass
"""
    ended = dict(run_all("ab", lambda _: [], lambda task: jobs(task, code), Local(2)))
    assert ended.keys() == {"a", "b"}
    shares = [eval(path.read_text()) for path in tmp_path.glob("begun*")]
    assert sorted(sum(shares, [])) == CORES
    assert all(shares)


@two_cores
def test_a_failure_is_told_by_name_and_ends_the_others(jobs, tmp_path):
    fails = (
        "import pathlib, sys\nwhile not pathlib.Path('pid').exists():\n    pass\nprint('error: no set')\nsys.exit(2)\n"
    )
    codes = {"a": WAITS, "b": fails, "c": "open('c', 'w')"}
    with pytest.raises(FileError, match="^b: no set$"):
        list(run_all("abc", lambda _: [], lambda task: jobs(task, codes[task]), Local(2)))
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    assert not (tmp_path / "c").exists()


@two_cores
def test_who_stops_asking_ends_what_runs(jobs, tmp_path):
    """As Ctrl-C does, which comes in the thread that asks."""
    ends = "import pathlib\nwhile not pathlib.Path('pid').exists():\n    pass\n"
    codes = {"a": WAITS, "b": ends}
    running = run_all("ab", lambda _: [], lambda task: jobs(task, codes[task]), Local(2))
    assert next(running)[0] == "b"
    running.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("local", "must be local:J .* got 'local'"),
        ("local:two", "got 'local:two'"),
        ("local:0", f"this process has {len(CORES)} cores"),
        (f"local:{len(CORES) + 1}", f"local:1 to local:{len(CORES)}"),
        ("slurm", "got 'slurm'"),
    ],
)
def test_an_engine_that_there_is_not_is_told(text, told):
    with pytest.raises(SettingError, match=told):
        make_engine(text)
