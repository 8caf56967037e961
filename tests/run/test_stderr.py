"""What a library writes to file descriptor 2 is kept while all goes well, and shown when it does not."""

import os

import pytest

from vinnas_tf.run.stderr import held_back


def test_what_goes_well_is_silent(capfd: pytest.CaptureFixture) -> None:
    with held_back():
        os.write(2, b"chatter of a C++ library\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_what_goes_wrong_is_shown(capfd: pytest.CaptureFixture) -> None:
    with pytest.raises(ValueError, match="broken"), held_back():
        os.write(2, b"why it broke\n")
        raise ValueError("broken")
    assert "why it broke" in capfd.readouterr().err
