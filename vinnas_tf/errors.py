"""What a user can mend."""


class ConfigError(ValueError):
    """A setting, a data set or a folder that can't be used; the message is one line meant for the user."""


def require(condition: bool, message: str) -> None:
    """Raises ConfigError with `message` unless `condition` holds."""
    if not condition:
        raise ConfigError(message)
