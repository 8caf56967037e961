"""What a command prints: every text, and no control character of a name that it was given."""

import subprocess
import sys

PRINT = """
import sys
from vinnas_tf.run.streams import open_standard_streams
open_standard_streams()
text = "a\\x1b[31mred\\tb\\x07\\x9b2Jc\\x7f \\u00fc"
print(text)
print(text, file=sys.stderr)
"""


def test_control_characters_are_shown_and_not_obeyed() -> None:
    done = subprocess.run([sys.executable, "-c", PRINT], capture_output=True, check=True)
    assert done.stdout == done.stderr == "a\\x1b[31mred\tb\\x07\\x9b2Jc\\x7f ü\n".encode()
