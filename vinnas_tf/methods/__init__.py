"""Search methods: METHODS maps the name that `--method` takes to the class that `SearchModel` asks."""

from vinnas_tf.config import SearchConfig
from vinnas_tf.errors import require
from vinnas_tf.methods.base import Method
from vinnas_tf.methods.darts import Darts
from vinnas_tf.methods.random_search import RandomSearch
from vinnas_tf.methods.vinnas import Vinnas
from vinnas_tf.methods.vinnas_joint import VinnasJoint

METHODS: dict[str, type[Method]] = {
    "vinnas": Vinnas,
    "vinnas_joint": VinnasJoint,
    "darts": Darts,
    "random": RandomSearch,
}


def make_method(config: SearchConfig) -> Method:
    """The method that `config.method` names; raises SettingError for an unknown name."""
    require(config.method in METHODS, f"method must be one of {', '.join(METHODS)}, got {config.method!r}.")
    return METHODS[config.method](config)
