"""The served model's load: whole requests are answered rightly, and each malformed one is refused by name."""

from pathlib import Path

import grpc
import keras
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import predict_pb2

from benchmarks.serving_load import Service, make_requests
from vinnas_tf.export.saved_model import write_saved_model


class Refused(Exception):
    """What a server makes of `abort`."""


class Context:
    """Of a request that is handed over without a server."""

    def abort(self, code: grpc.StatusCode, details: str) -> None:
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        raise Refused(details)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A written model that pools over all places, so that it could answer for an image of any size."""
    image = keras.Input((8, 8, 1))
    features = keras.layers.Conv2D(4, 3, activation="relu")(image)
    logits = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(features))
    parent = tmp_path_factory.mktemp("model")
    (parent / "manifest.json").write_text("{}")
    model = keras.Model(image, logits)
    write_saved_model(model, parent / "1", class_names=("a", "b", "c"), manifest=parent / "manifest.json")
    return parent / "1"


def test_whole_requests_are_answered_and_malformed_ones_are_not(folder: Path) -> None:
    whole, malformed = make_requests(folder)
    service = Service(folder)
    for asked in whole[:3]:
        response = service.Predict(predict_pb2.PredictRequest.FromString(asked.content), Context())
        np.testing.assert_allclose(tf.make_ndarray(response.outputs["probabilities"]), asked.expected, atol=1e-6)
    for asked in malformed:
        with pytest.raises((Refused, ValueError, DecodeError)):
            service.Predict(predict_pb2.PredictRequest.FromString(asked.content), Context())
