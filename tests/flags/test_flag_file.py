"""Flag files of any editor are read, and what is none is told in one line."""

import os
from pathlib import Path

import pytest

from vinnas_tf.errors import UserError
from vinnas_tf.flags.flag_file import expand

FLAGS = ["--minutes=30", "--loaf=pâté à la"]


def written(path: Path, content: str | bytes) -> str:
    """Writes a flag file; returns the flag that names it."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return f"--flagfile={path}"


def words(*argv: str) -> list[str]:
    return list(expand(argv))


@pytest.mark.parametrize(
    "content",
    [
        "\n".join(FLAGS),
        "\ufeff" + "".join(f"{flag}\r\n" for flag in FLAGS),
        f"# Ours.\n\n  // Theirs.\n \t\n  {FLAGS[0]} \t\n{FLAGS[1]}  \n",
    ],
    ids=["plain", "from Windows", "blanks and comments"],
)
def test_it_stands_for_its_lines(content, tmp_path):
    path = tmp_path / "my flags"
    given = written(path, content)
    assert words("a", given, "b") == ["a", *FLAGS, "b"]
    assert words("--flagfile", str(path)) == words(f"-flagfile={path}") == FLAGS
    assert words(written(tmp_path / "outer", f"--steam\n{given}\n")) == ["--steam", *FLAGS]
    assert words(given, given) == FLAGS + FLAGS  # Which is no circle.
    assert words("--", given) == ["--", given]


def test_one_that_can_be_read_only_once_is(tmp_path):
    """As a shell's <(command)."""
    reader, writer = os.pipe()
    os.write(writer, b"--minutes=30\n")
    os.close(writer)
    assert words(f"--flagfile=/dev/fd/{reader}") == ["--minutes=30"]
    os.close(reader)


def test_what_is_none_is_one_line(tmp_path):
    mine, outer = tmp_path / "mine", tmp_path / "outer"
    itself = written(mine, f"--flagfile={mine}\n")
    wrong = {
        f"--flagfile={tmp_path / 'absent'}": "can't read .*absent: No such file or directory",
        f"--flagfile={tmp_path}": "can't read .*: Is a directory",
        written(tmp_path / "utf16", FLAGS[0].encode("utf-16")): "isn't UTF-8 text",
        written(tmp_path / "utf16le", FLAGS[0].encode("utf-16-le")): "isn't UTF-8 text",
        "--flagfile=": "names no file",
        "--flagfile": "names no file",
        "--flagfile=~no-such-user/flags": "no home folder ~no-such-user",
        itself: "leads back to itself",
        written(outer, itself): "leads back to itself",
    }
    for flag, message in wrong.items():
        with pytest.raises(UserError, match=message) as error:
            words(flag)
        assert "\n" not in str(error.value)
