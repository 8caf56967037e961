"""A search of channels of a small network, which is traced in a second."""

import keras

from vinnas_tf.config import SearchConfig
from vinnas_tf.methods.pgnas import Pgnas, PgnasSettings

CANDIDATES = 45
CONFIG = SearchConfig(method="pgnas", epochs=2, weight_epochs=0, batch_size=32, seed=3)
SETTINGS = PgnasSettings(candidates=CANDIDATES, prior_precision=1.0)


class Small(Pgnas):
    """PGNAS of three convolutions."""

    def backbone(self, image_shape: tuple[int, ...], classes: int) -> keras.Model:
        keras.utils.set_random_seed(self.config.seed)
        x = keras.Input(image_shape, name="images")
        y = keras.layers.Conv2D(8, 3, padding="same", strides=2, use_bias=False, name="first")(x)
        y = keras.layers.ReLU(name="first_relu")(keras.layers.BatchNormalization(name="first_norm")(y))
        paths = [keras.layers.Conv2D(6, 3, padding="same", use_bias=False, name=f"path_{n}")(y) for n in range(2)]
        y = keras.layers.BatchNormalization(name="norm")(keras.layers.Concatenate(name="both")(paths))
        y = keras.layers.GlobalAveragePooling2D(name="pool")(keras.layers.ReLU(name="relu")(y))
        return keras.Model(x, keras.layers.Dense(classes, name="classifier")(y), name="small")
