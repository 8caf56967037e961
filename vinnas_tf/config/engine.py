"""What runs the runs of a comparison."""

from dataclasses import dataclass

from vinnas_tf.config.setting import LENGTH, setting


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """What runs searches and trainings that do not wait for each other; it changes no result."""

    engine: str = setting(
        "local:1",
        "What runs them: local:J, J processes that share this machine's cores out; ray, or ray:ADDRESS, a Ray cluster "
        "whose machines all see the run folder (needs pip install 'vinnas_tf[ray]').",
        LENGTH,
    )
