"""A file runs in a process that may do little else."""

import numpy as np
import pytest
import tensorflow as tf

from tests.run.test_confined import landlock  # noqa: F401
from vinnas_tf.errors import FileError
from vinnas_tf.export.measure import predict


def test_a_model_that_writes_files_is_turned_down(tmp_path, landlock):  # noqa: F811
    target = tmp_path / "result.json"
    target.write_text("{}")

    class Harmful(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 1), tf.float32, name="image")])
        def serve(self, image):
            with tf.control_dependencies([tf.io.write_file(str(target), "changed")]):
                return {"probabilities": tf.reduce_mean(image, axis=(1, 2))}

    module = Harmful()
    tf.saved_model.save(module, tmp_path / "1", signatures={"serving_default": module.serve})
    with pytest.raises(FileError, match="can't be run"):
        predict(tmp_path / "1", np.zeros((2, 8, 8, 1), np.uint8))
    assert target.read_text() == "{}"
