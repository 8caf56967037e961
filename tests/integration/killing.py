"""How the tests of resuming end a command before it ends by itself."""

import os
import signal
import subprocess


def kill_in_epoch(command: list[str], epoch: int) -> None:
    """Starts the command and kills it without warning once it has printed `epoch`'s line: in the middle of the next."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(f"{epoch:>3}/"):
            break
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
