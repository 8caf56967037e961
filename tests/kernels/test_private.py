"""The canaries of what is taken from TensorFlow and Keras in private: they fail when a new version has moved it.

Run them first with a new version of either. Where all pass, the upper bound in pyproject.toml can be raised. Where one
fails, its message says which name has moved, what relies on it, and what to use instead.
"""

import contextlib
from collections.abc import Iterator

import keras
import numpy as np
import pytest
import tensorflow as tf

from vinnas_tf.kernels import private


@contextlib.contextmanager
def canary(advice: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        pytest.fail(f"{advice}\n{type(error).__name__}: {error}")


def test_calls_are_made_without_looking_for_shapes() -> None:
    with canary(
        "tf.Graph._attr_scope or the attribute _disable_call_shape_inference has moved. kernels.call_for_any_size sets "
        "the attribute on its calls. Without it a search takes longer to start, and nothing else changes: look in "
        "TensorFlow's function_def_to_graph.py and common_shape_fns for what has taken its place, or call the concrete "
        "function as it is."
    ):
        double = tf.function(lambda x: 2 * x, input_signature=[tf.TensorSpec([None])]).get_concrete_function()
        with tf.Graph().as_default():
            x = tf.ones([3])
            with private.without_shape_inference():
                skipped = double(x)
            plain = double(x)
        assert skipped.op.get_attr("_disable_call_shape_inference")
        assert "_disable_call_shape_inference" not in plain.op.node_def.attr


def test_a_function_is_called_and_not_inlined() -> None:
    with canary(
        "The attribute _noinline of a function has moved. The mixed op and the preprocessing of cells rely on it: "
        "inlined, they are optimised anew at each of a supergraph's calls, and a search takes minutes to start. Look "
        "for kNoInlineAttr in TensorFlow's function.h."
    ):

        def operations_run(decorate) -> list[str]:
            function = decorate(lambda x: tf.sin(tf.cos(x)))
            with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
                place = tf.compat.v1.placeholder(tf.float32, [None])
                result = function(place) + 1.0  # Graphs of fewer operations are not optimised.
                ran = tf.compat.v1.RunMetadata()
                options = tf.compat.v1.RunOptions(output_partition_graphs=True)
                session.run(result, {place: [1.0]}, options=options, run_metadata=ran)
            return [node.op for partition in ran.partition_graphs for node in partition.node]

        assert "PartitionedCall" in operations_run(private.called_not_inlined)
        assert "PartitionedCall" not in operations_run(lambda function: tf.function(function, autograph=False))


def test_the_layers_within_a_layer_are_found_at_any_depth() -> None:
    with canary(
        "keras.Layer._flatten_layers has moved. Supergraph.weight_posteriors finds the Gaussian weights with it, and "
        "the order of what it returns is the order in which their KL is added up: another one changes the last bits of "
        "a search. Walk the attributes of the layers instead."
    ):
        outer, inner = keras.layers.Layer(), keras.layers.Layer()
        leaves = [keras.layers.Layer(name=name) for name in ("a", "b", "c")]
        inner.parts = leaves[:2]
        outer.first, outer.second = inner, leaves[2]
        assert private.layers_within(outer) == [inner, leaves[1], leaves[0], leaves[2]]


def test_the_moments_of_adam_are_found() -> None:
    with canary(
        "_get_variable_index, _momentums or _velocities of keras.optimizers.Adam has moved. vinnas_tf.optimizer hands "
        "the moments to TensorFlow's own operations, and tells log-variances by their places. Find the moments among "
        "Adam.variables, which lists them in the order of the variables, or keep moments of its own."
    ):
        variables = [keras.Variable(np.ones(2), name=name) for name in ("x", "y")]
        optimizer = keras.optimizers.Adam()
        optimizer.build(variables)
        optimizer.apply([tf.constant([1.0, 2.0]), tf.constant([3.0, 4.0])], variables)
        assert private.place_among(optimizer, variables[1].value) == 1
        first, second = private.adam_state(optimizer, variables[1].value)
        np.testing.assert_allclose(first, [0.3, 0.4], rtol=1e-6)  # (1 - beta_1) times the gradient
        np.testing.assert_allclose(second, [0.009, 0.016], rtol=1e-6)  # (1 - beta_2) times its square


def test_variables_become_constants() -> None:
    with canary(
        "convert_variables_to_constants_v2 has moved within tensorflow.python. The export to ONNX relies on it. "
        "TensorFlow's lite converter freezes its graphs too: see what it calls now."
    ):
        factor = tf.Variable(3.0)
        function = tf.function(lambda x: factor * x, input_signature=[tf.TensorSpec([2])])
        frozen = private.with_constants(function.get_concrete_function())
        factor.assign(5.0)
        np.testing.assert_array_equal(frozen(tf.constant([1.0, 2.0]))[0], [3, 6])
        assert not frozen.variables


def test_a_take_in_a_network_is_known() -> None:
    with canary(
        "keras.ops.take is another operation in a Functional model now. Stripped networks hold it, and compressing one "
        "follows channels through it. See what class keras.Model(...).operations has for it."
    ):
        images = keras.Input((3,))
        network = keras.Model(images, keras.ops.take(keras.layers.ReLU()(images), [0, 2], axis=-1))
        assert [private.is_take(operation) for operation in network.operations] == [False, False, True]
        assert network.operations[-1].axis == -1


def test_an_optimizer_moves_by_the_gradients_that_it_is_given() -> None:
    with canary(
        "Optimizer._backend_update_step has moved. On several devices SearchModel and TrainModel sum gradients before "
        "their norm is clipped, and have the optimizer sum nothing: look in Keras's optimizer for TensorFlow for where "
        "it reduces gradients over replicas. Until then --devices above 1 gives gradients that are too long."
    ):
        assert hasattr(keras.Optimizer, "_backend_update_step") and hasattr(
            keras.Optimizer, "_all_reduce_sum_gradients"
        )
        variable = keras.Variable([1.0, 2.0])
        optimizer = keras.optimizers.SGD(0.5, global_clipnorm=1.0)
        optimizer.build([variable])
        private.moves_alone(optimizer)
        optimizer._all_reduce_sum_gradients = None  # Would fail if it were called.
        optimizer.apply([tf.constant([3.0, 4.0])], [variable])
        np.testing.assert_allclose(variable.numpy(), [0.7, 1.6], rtol=1e-6)


def test_a_built_model_is_not_built_again_by_fit() -> None:
    with canary(
        "Model._maybe_symbolic_build has moved. On several devices `fit` calls it with a batch whose parts may differ "
        "in size; look in Keras's trainer for TensorFlow for what has taken its place."
    ):
        assert hasattr(keras.Model, "_maybe_symbolic_build")
        private.BuiltModel()._maybe_symbolic_build(iterator=object())  # Nothing is asked of it.
