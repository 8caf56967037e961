"""What a user can mend: errors whose message is one line that says what was expected, what came, and what to do."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """The base of all errors that a user can mend; a command prints its message alone and exits with code 2."""


class SettingError(UserError):
    """A setting, or settings that do not fit each other or the images."""


class DataError(UserError):
    """A data set that can't be read, or whose images can't be used."""


class RunFolderError(UserError):
    """A run folder that is in use, was made with other settings, or lacks what a stage needs."""


class FileError(UserError):
    """A file or folder that can't be read or written, or that isn't what it should be."""


class ArchitectureError(UserError):
    """A genotype or posterior that isn't one."""


class DivergenceError(UserError):
    """A loss that is no longer a finite number."""


def require(condition: bool, message: str, kind: type[UserError] = SettingError) -> None:
    """Raises an error of `kind` with `message` unless `condition` holds."""
    if not condition:
        raise kind(message)


def did_you_mean(name: str, known: Iterable[str], otherwise: str, form: str = "{}") -> str:
    """A hint at the names that an unknown one is close to, each spelt in a form; where there are none, `otherwise`."""
    close = [form.format(one) for one in difflib.get_close_matches(name, [*known])]
    return f"did you mean {' or '.join(close)}?" if close else otherwise
