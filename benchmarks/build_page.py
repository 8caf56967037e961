"""Remakes the printed output in BUILD.md: runs the commands that the page shows and writes down what they print.

    .venv/bin/python -m benchmarks.build_page

A block of printed output follows a comment that names its command:

    <!-- output: ls runs -->
    ```text
    what the command printed
    ```

All commands of a page run in the order of the page, in bash, in one new folder, so that no run folder of the checkout
is read or changed. `.venv/bin/python` stands for the interpreter that runs this. The page is written once, at the end.
"""

import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.command import make_parser, path_option
from vinnas_tf.errors import FileError, UserError, require
from vinnas_tf.run.child import environment
from vinnas_tf.run.files import write_atomically

BLOCK = re.compile(r"<!-- output: (?P<command>.+?) -->\n```text\n.*?^```$", re.DOTALL | re.MULTILINE)


def run(command: str, folder: Path) -> str:
    """Runs a command of the page and returns what it prints, without blanks at the ends of lines.

    Raises:
        UserError: the command failed; its own last line says why.
    """
    line = command.replace(".venv/bin/python", shlex.quote(sys.executable))
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=folder,
        env={**environment(), "COLUMNS": "80"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "it printed nothing").splitlines()[-1]
        raise FileError(f"The page's command ended with exit code {done.returncode}: {command}: {said}")
    return "\n".join(text.rstrip() for text in done.stdout.rstrip().splitlines())


def remade(page: str, folder: Path) -> str:
    """The page with the output of each of its commands replaced by what the command prints now.

    Raises:
        UserError: the page names no command, or one of its commands failed.
    """
    require(BLOCK.search(page) is not None, "The page has no <!-- output: COMMAND --> above a block of ```text.")

    def block(match: re.Match[str]) -> str:
        command = match["command"]
        print(command, flush=True)
        return f"<!-- output: {command} -->\n```text\n{run(command, folder)}\n```"

    return BLOCK.sub(block, page)


def main(argv: list[str] | None = None) -> None:
    parser = make_parser("benchmarks.build_page", __doc__)
    default = Path(__file__).resolve().parent.parent / "BUILD.md"
    parser.add_argument("--page", type=path_option, default=default, help="the page to remake (BUILD.md)")
    page = parser.parse_args(argv).page
    try:
        with tempfile.TemporaryDirectory() as folder:
            text = remade(page.read_text(encoding="utf-8"), Path(folder))
        write_atomically(page, text)
    except (OSError, UserError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
