"""The TFLite files, read back byte by byte and run in processes of their own."""

import subprocess
import sys

import flatbuffers
import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from vinnas_tf.errors import UserError
from vinnas_tf.export import flatbuffer
from vinnas_tf.export.tflite import PRECISIONS, convert


@pytest.fixture(scope="module")
def files(exported) -> dict[str, bytes]:
    return {name: (exported.folder / "tflite" / f"{name}.tflite").read_bytes() for name in PRECISIONS}


def graph_of(content: bytes) -> schema.ModelT:
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))


def densified(tensor: schema.TensorT, values: np.ndarray) -> np.ndarray:
    """A sparse tensor's dense values, from the description of the format in TensorFlow Lite's schema alone."""
    dense = np.zeros(tensor.shape, np.float32)
    rank = len(tensor.shape)
    order = tensor.sparsity.traversalOrder
    dimensions = tensor.sparsity.dimMetadata
    stored = iter(values)

    def walk(level: int, position: int, index: list[int]) -> None:
        if level == len(dimensions):
            place = [0] * rank
            for traversed, coordinate in zip(order[:rank], index[:rank], strict=True):
                place[traversed] = coordinate
            for block, coordinate in enumerate(index[rank:]):
                axis = tensor.sparsity.blockMap[block]
                place[axis] = place[axis] * dimensions[rank + block].denseSize + coordinate
            dense[tuple(place)] = next(stored)
            return
        dimension = dimensions[level]
        if dimension.format == schema.DimensionType.DENSE:
            for coordinate in range(dimension.denseSize):
                walk(level + 1, position * dimension.denseSize + coordinate, [*index, coordinate])
        else:
            segments, indices = dimension.arraySegments.values, dimension.arrayIndices.values
            for at in range(segments[position], segments[position + 1]):
                walk(level + 1, at, [*index, int(indices[at])])

    walk(0, 0, [])
    assert next(stored, None) is None
    return dense


def test_sparse_tensors_hold_the_networks_kernels(files, trained):
    model = graph_of(files["float32"])
    sparse = [tensor for tensor in model.subgraphs[0].tensors if tensor.sparsity is not None]
    assert len(sparse) >= 10
    kernels = []
    for layer in trained.sparse.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
            kernels.append(layer.get_weights()[0].transpose(3, 0, 1, 2))
        elif isinstance(layer, keras.layers.Dense):
            kernels.append(layer.get_weights()[0].T)
    # The converter folds the division by the pixels' standard deviation into the stem.
    kernels.append(kernels[0] / np.sqrt(trained.sparse.get_layer("normalization").variance).reshape(-1))
    for tensor in sparse:
        values = np.frombuffer(bytes(model.buffers[tensor.buffer].data), np.float32)
        dense = densified(tensor, values)
        same = [
            kernel
            for kernel in kernels
            if kernel.shape == dense.shape and np.allclose(kernel, dense, rtol=1e-5, atol=1e-8)
        ]
        assert same, tensor.name
        assert np.count_nonzero(dense) < 0.5 * dense.size


def test_the_manifest_tells_the_sparse_tensors_and_their_density(files, exported):
    told = exported.manifest["files"]["tflite/float32.tflite"]["figures"]["sparse_tensors"]
    model = graph_of(files["float32"])
    read = [tensor for tensor in model.subgraphs[0].tensors if tensor.sparsity is not None]
    assert [entry["shape"] for entry in told] == [list(tensor.shape) for tensor in read]
    for entry, tensor in zip(told, read, strict=True):
        density = len(model.buffers[tensor.buffer].data) / 4 / np.prod(tensor.shape)
        assert entry["density"] == pytest.approx(density, abs=1e-4)


def test_a_sparse_float32_file_is_smaller_than_the_dense_one(files, trained):
    dense = convert(trained.sparse, "float32", trained.dataset.train.images[:1], sparse=False)
    assert len(files["float32"]) < 0.6 * len(dense)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_dilated_depthwise_convolution_stays_one_operator(precision, files, trained):
    operators = flatbuffer.parse(files[precision]).operators
    layers = [layer for layer in trained.sparse.layers if isinstance(layer, keras.layers.DepthwiseConv2D)]
    assert any(layer.dilation_rate == (2, 2) for layer in layers)
    assert operators.count("DEPTHWISE_CONV_2D") == len(layers)
    assert not {"SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"} & set(operators)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_signature_is_one_raw_image(precision, exported):
    interpreter = Interpreter(str(exported.folder / "tflite" / f"{precision}.tflite"))
    (signature,) = interpreter.get_signature_list().values()
    assert signature == {"inputs": ["image"], "outputs": ["probabilities"]}
    (image,), (probabilities,) = interpreter.get_input_details(), interpreter.get_output_details()
    dtype = np.uint8 if precision == "full_int8" else np.float32
    assert (image["dtype"], probabilities["dtype"]) == (dtype, dtype)
    assert (tuple(image["shape"]), tuple(probabilities["shape"])) == ((1, 8, 8, 1), (1, 10))
    if precision == "full_int8":
        assert image["quantization"] == (1.0, 0)  # A raw pixel is its own quantised value.
        assert probabilities["quantization"] == (1 / 256, 0)
    entry = exported.manifest["files"][f"tflite/{precision}.tflite"]
    assert entry["inputs"][0]["dtype"] == np.dtype(dtype).name
    assert flatbuffer.parse((exported.folder / "tflite" / f"{precision}.tflite").read_bytes()).precision == precision


def brighter_half(spread: int) -> keras.Model:
    """From raw pixels to two logits: which half of the image is brighter, by how many times `spread`."""
    image = keras.Input((8, 8, 1))
    blurred = keras.layers.Conv2D(4, 3, padding="same")(keras.layers.Rescaling(1 / spread)(image))
    halves = keras.layers.Flatten()(keras.layers.AveragePooling2D((8, 4))(blurred))
    network = keras.Model(image, keras.layers.Dense(2)(halves))
    network.layers[2].set_weights([np.full((3, 3, 1, 4), 1 / 9), np.zeros(4)])
    network.layers[-1].set_weights([np.repeat([[1.0, -1.0], [-1.0, 1.0]], 4, axis=0), np.zeros(2)])
    return network


@pytest.mark.parametrize(("least", "largest"), [(0, 20), (0, 120), (0, 255), (200, 255), (0, 0)])
def test_full_int8_takes_raw_pixels_whatever_the_training_images(least, largest):
    """Dark, ordinary, bright and black ones: each pixel is fed as it is."""
    images = np.random.default_rng(0).integers(least, largest + 1, (40, 8, 8, 1)).astype(np.uint8)
    images[::2, :, :4] = least
    network = brighter_half(max(largest - least, 1))
    content = convert(network, "full_int8", images, sparse=False)
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    (image,), (probabilities,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert image["quantization"] == (1.0, 0)
    assert probabilities["quantization"] == (1 / 256, 0)
    answers = []
    for one in images:
        interpreter.set_tensor(image["index"], one[None])
        interpreter.invoke()
        answers.append(interpreter.get_tensor(probabilities["index"])[0] / 256)
    powers = np.exp(network.predict(images.astype(np.float32), verbose=0))
    np.testing.assert_allclose(answers, powers / powers.sum(axis=1, keepdims=True), atol=0.05)
    if largest:
        assert flatbuffer.parse(content).pixel_range == pytest.approx((0, largest))


def test_a_file_without_a_requantised_input_is_left_as_it_is(files):
    assert flatbuffer.with_raw_input(files["float32"]) == files["float32"]
    model = graph_of(files["full_int8"])
    (code,) = [code for code in model.operatorCodes if code.builtinCode == schema.BuiltinOperator.QUANTIZE]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    assert flatbuffer.with_raw_input(bytes(builder.Output())) == bytes(builder.Output())


def test_a_full_int8_file_computes_in_8_bits(files):
    tensors = graph_of(files["full_int8"]).subgraphs[0].tensors
    floats = [tensor.name for tensor in tensors if tensor.type == schema.TensorType.FLOAT32]
    assert not floats


def test_the_labels_lie_beside(exported, trained):
    labels = (exported.folder / "tflite" / "labels.txt").read_text().splitlines()
    assert labels == list(trained.dataset.class_names)


@pytest.mark.parametrize("precision", ["float32", "full_int8"])
def test_another_process_writes_the_same_bytes(precision, files, exported, trained):
    """The export ran in a process of its own; this one converts again."""
    from vinnas_tf.export.__main__ import representative
    from vinnas_tf.export.source import read_finished

    training = read_finished(exported.run_dir)
    images = representative(training, training.data)
    assert convert(training.source.network, precision, images, sparse=precision == "float32") == files[precision]


@pytest.mark.parametrize("kept", [0, 7, 100, 0.5, 0.9])
def test_a_part_of_a_file_is_told_from_a_whole_one(kept, files):
    content = files["float32"]
    with pytest.raises(UserError, match="not a whole TFLite file"):
        flatbuffer.parse(content[: kept if isinstance(kept, int) else int(kept * len(content))])


def test_a_file_runs_where_there_is_no_tensorflow(exported, trained, tmp_path):
    np.save(tmp_path / "images.npy", trained.test.images[:3])
    program = f"""
import sys
from vinnas_tf.export import measure
measure.main(["predict", {str(tmp_path)!r}, {str(exported.folder / "tflite" / "float32.tflite")!r}])
assert not {{"tensorflow", "keras"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    logits = trained.sparse.predict(trained.test.images[:3].astype(np.float32), verbose=0)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.load(tmp_path / "probabilities.npy"), expected, atol=1e-5)
