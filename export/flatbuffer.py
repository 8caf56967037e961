"""What a TFLite file holds, read from the file itself: operators, inputs and outputs, and how constants are stored.

And the one thing that is changed in a file: the scale of an 8-bit input.

The schema is `schema.fbs` of TensorFlow Lite; LiteRT's package ships its readers.
"""

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from vinnas_tf.errors import FileError

_DTYPES = {number: name.lower() for name, number in vars(schema.TensorType).items() if not name.startswith("_")}
_OPERATORS = {number: name for name, number in vars(schema.BuiltinOperator).items() if not name.startswith("_")}


@dataclass(frozen=True)
class Tensor:
    """An input, an output or a constant.

    Attributes:
        name: as the converter gave it.
        dtype: such as "float32".
        shape: its shape, also of a constant that is stored sparse.
        stored_bytes: bytes of values in the file; 0 for what is no constant.
        sparse: whether the values are stored sparse.
        scale: of a quantised tensor: value = scale * (stored - zero_point); a list of one for each channel, or empty.
        zero_point: as above.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    stored_bytes: int
    sparse: bool
    scale: tuple[float, ...]
    zero_point: tuple[int, ...]

    @property
    def density(self) -> float:
        """Share of the entries that are stored."""
        return self.stored_bytes / (math.prod(self.shape) * np.dtype(self.dtype).itemsize)


@dataclass(frozen=True)
class Model:
    """A TFLite file.

    Attributes:
        operators: in the order of execution.
        constants: its constants.
        inputs: its inputs.
        outputs: its outputs.
        requantized: what an operator QUANTIZE, the only reader of the only input, makes of it, if there is one.
    """

    operators: tuple[str, ...]
    constants: tuple[Tensor, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    requantized: Tensor | None

    @property
    def pixel_range(self) -> tuple[float, float] | None:
        """The least and the largest input that it tells from others beyond; None where it has no such bounds."""
        if self.requantized is None or (self.inputs[0].dtype, self.requantized.dtype) != ("uint8", "int8"):
            return None
        (scale,), (zero_point,) = self.requantized.scale, self.requantized.zero_point
        return scale * (-128 - zero_point), scale * (127 - zero_point)

    @property
    def precision(self) -> str:
        """Which of `tflite.PRECISIONS` it is."""
        if self.inputs[0].dtype != "float32":
            return "full_int8"
        dtypes = {tensor.dtype for tensor in self.constants}
        return "dynamic_int8" if "int8" in dtypes else "float16" if "float16" in dtypes else "float32"


def parse(content: bytes) -> Model:
    """Reads a file of one subgraph.

    Raises:
        FileError: it is no TFLite file, or a part of one only.
    """
    try:
        if not schema.Model.ModelBufferHasIdentifier(content, 0):
            raise ValueError("the mark TFL3 is missing")
        model = schema.Model.GetRootAs(content, 0)
        graph = model.Subgraphs(0)
        tensors = [_tensor(model, graph.Tensors(index), len(content)) for index in range(graph.TensorsLength())]
        operators = [graph.Operators(index) for index in range(graph.OperatorsLength())]
        codes = [model.OperatorCodes(operator.OpcodeIndex()) for operator in operators]
        # A code above 127 stands in the newer of the two fields.
        names = tuple(_OPERATORS[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())] for code in codes)
        inputs = set(graph.InputsAsNumpy())
        readers = [index for index, operator in enumerate(operators) if inputs & set(operator.InputsAsNumpy())]
        requantized = len(inputs) == len(readers) == 1 and names[readers[0]] == "QUANTIZE"
        return Model(
            names,
            tuple(tensor for tensor in tensors if tensor.stored_bytes),
            tuple(tensors[index] for index in graph.InputsAsNumpy()),
            tuple(tensors[index] for index in graph.OutputsAsNumpy()),
            tensors[operators[readers[0]].Outputs(0)] if requantized else None,
        )
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, struct.error) as error:
        raise FileError(f"it is not a whole TFLite file ({error})") from error


def with_raw_input(content: bytes) -> bytes:
    """The same file, but its uint8 input has scale 1 and zero point 0: a raw pixel is its own quantised value.

    The converter gives the input the range of its images, and lets an operator QUANTIZE make int8 of it with that same
    range. With the input's own scale changed, that operator brings pixels to the range, and all behind it stays. A file
    that is not built like that is returned as it is: the proof tells of its scale.
    """
    if parse(content).pixel_range is None:
        return content
    changed = bytearray(content)
    graph = schema.Model.GetRootAs(changed, 0).Subgraphs(0)
    views = [  # Of `changed`: scale and zero point of each tensor that has them.
        (index, view)
        for index in range(graph.TensorsLength())
        if (quantization := graph.Tensors(index).Quantization()) is not None and quantization.ScaleLength()
        for view in (quantization.ScaleAsNumpy(), quantization.ZeroPointAsNumpy())
    ]
    scale, zero_point = (view for index, view in views if index == graph.Inputs(0))
    shared = any(np.shares_memory(own, view) for own in (scale, zero_point) for _, view in views if view is not own)
    if shared or len(scale) != 1:
        return content
    scale[0], zero_point[0] = 1, 0
    return bytes(changed)


def _tensor(model: Any, tensor: Any, size: int) -> Tensor:
    buffer = model.Buffers(tensor.Buffer())
    stored = buffer.DataLength()
    if stored and buffer._tab.Vector(buffer._tab.Offset(4)) + stored > size:
        raise ValueError("it ends too early")
    quantization = tensor.Quantization()
    quantized = quantization is not None and quantization.ScaleLength() > 0
    return Tensor(
        name=tensor.Name().decode(),
        dtype=_DTYPES[tensor.Type()],
        shape=tuple(int(side) for side in tensor.ShapeAsNumpy()) if tensor.ShapeLength() else (),
        stored_bytes=stored,
        sparse=tensor.Sparsity() is not None,
        scale=tuple(map(float, quantization.ScaleAsNumpy())) if quantized else (),
        zero_point=tuple(map(int, quantization.ZeroPointAsNumpy())) if quantized else (),
    )
