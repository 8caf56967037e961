"""How the tests of resuming end a command before it ends by itself."""

import os
import signal
import subprocess


def kill_in_epoch(command: list[str], epoch: int, epochs: str = "") -> None:
    """Starts the command and kills it without warning once it has printed `epoch`'s line: in the middle of the next.

    Args:
        command: what to start.
        epoch: its number.
        epochs: of how many, where the command prints more than one table.
    """
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(f"{epoch:>3}/{epochs}"):
            break
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
