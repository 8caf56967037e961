"""What a TFLite file holds, read from the file itself: operators, inputs and outputs, and how constants are stored.

The schema is `schema.fbs` of TensorFlow Lite; LiteRT's package ships its readers.
"""

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from vinnas_tf.config import ConfigError

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
    """A TFLite file: operators in the order of execution, constants, inputs and outputs."""

    operators: tuple[str, ...]
    constants: tuple[Tensor, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

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
        ConfigError: it is no TFLite file, or a part of one only.
    """
    try:
        if not schema.Model.ModelBufferHasIdentifier(content, 0):
            raise ValueError("the mark TFL3 is missing")
        model = schema.Model.GetRootAs(content, 0)
        graph = model.Subgraphs(0)
        tensors = [_tensor(model, graph.Tensors(index), len(content)) for index in range(graph.TensorsLength())]
        codes = [model.OperatorCodes(graph.Operators(i).OpcodeIndex()) for i in range(graph.OperatorsLength())]
        return Model(
            # A code above 127 stands in the newer of the two fields.
            tuple(_OPERATORS[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())] for code in codes),
            tuple(tensor for tensor in tensors if tensor.stored_bytes),
            tuple(tensors[index] for index in graph.InputsAsNumpy()),
            tuple(tensors[index] for index in graph.OutputsAsNumpy()),
        )
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, struct.error) as error:
        raise ConfigError(f"it is not a whole TFLite file ({error})") from error


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
