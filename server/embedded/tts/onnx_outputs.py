"""Makes an internal value of an ONNX model an output, without the `onnx` package.

A model is one protobuf message (onnx.proto, ModelProto). If a message field occurs twice on the wire, its contents are merged and
repeated fields concatenated (protobuf encoding, "Last One Wins"). So some bytes appended to the file add an output to its graph.
"""

from __future__ import annotations

MODEL_GRAPH, GRAPH_OUTPUT = 7, 12  # field numbers: ModelProto.graph, GraphProto.output
VALUE_NAME, VALUE_TYPE = 1, 2  # ValueInfoProto
TENSOR_TYPE, ELEMENT_TYPE = 1, 1  # TypeProto.tensor_type, TypeProto.Tensor.elem_type
FLOAT = 1  # TensorProto.FLOAT
LENGTH_DELIMITED, VARINT = 2, 0
MAX_SHORT_BYTES = 127  # a length that fits one byte on the wire


def with_float_output(model: bytes, name: str) -> bytes:
    """The model with the graph's float value `name` as additional last output. Raises ValueError if the name is too long."""
    tensor = bytes((ELEMENT_TYPE << 3 | VARINT, FLOAT))
    value = _field(VALUE_NAME, name.encode()) + _field(VALUE_TYPE, _field(TENSOR_TYPE, tensor))
    return model + _field(MODEL_GRAPH, _field(GRAPH_OUTPUT, value))


def _field(number: int, content: bytes) -> bytes:
    if len(content) > MAX_SHORT_BYTES:
        raise ValueError(f"{len(content)} bytes: only short fields are written here")
    return bytes((number << 3 | LENGTH_DELIMITED, len(content))) + content
