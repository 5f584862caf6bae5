"""Small ONNX models, written in a moment."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

_FLOAT = TensorProto.FLOAT


def write_onnx_heads(directory: Path, *matrices: np.ndarray[Any, Any]) -> Path:
    """Write the model of `tiny_models.heads` as inference.onnx; its outputs are head_0, head_1, ..."""
    image = helper.make_tensor_value_info("inputs", _FLOAT, [None, 3, 32, 32])
    nodes = [
        helper.make_node("GlobalAveragePool", ["inputs"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["means"]),
    ]
    outputs, initializers = [], []
    for number, matrix in enumerate(matrices):
        nodes.append(helper.make_node("MatMul", ["means", f"weights_{number}"], [f"logits_{number}"]))
        nodes.append(helper.make_node("Sigmoid", [f"logits_{number}"], [f"head_{number}"]))
        outputs.append(helper.make_tensor_value_info(f"head_{number}", _FLOAT, [None, matrix.shape[1]]))
        values = matrix.astype(np.float32)
        initializers.append(helper.make_tensor(f"weights_{number}", _FLOAT, values.shape, values.ravel()))
    graph = helper.make_graph(nodes, "heads", [image], outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    directory.mkdir(parents=True, exist_ok=True)
    onnx.save(model, directory / "inference.onnx")
    return directory


def write_onnx_model(
    directory: Path,
    *,
    batch_size: int | None = None,
    num_classes: int = 6,
    is_sorted: bool = False,
    gain: float = 10,
    image_shape: Sequence[int | None] = (3, 32, 32),
) -> Path:
    """Write the model that `tiny_models.write_model` writes by default, as inference.onnx.

    Args:
        directory: Where to; it is made.
        batch_size: The only one that the model takes; None for any.
        num_classes: 3 or more.
        gain: What the means of the channels are multiplied by.
        is_sorted: The scores come sorted, from a top-k in the model.
        image_shape: That of an image, with 3 channels or more; only the first three of them count.

    Returns:
        `directory`.
    """
    rest = np.zeros((image_shape[0] or 3, num_classes), np.float32)
    rest[range(3), range(3)] = gain
    nodes: list[Any] = [
        helper.make_node("GlobalAveragePool", ["inputs"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["means"]),
        helper.make_node("MatMul", ["means", "spread"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
    ]
    initializers = [helper.make_tensor("spread", _FLOAT, rest.shape, rest.ravel())]
    outputs = [helper.make_tensor_value_info("scores", _FLOAT, [batch_size, num_classes])]
    if is_sorted:
        nodes.append(helper.make_node("TopK", ["scores", "k"], ["best", "ids"]))
        initializers.append(helper.make_tensor("k", TensorProto.INT64, [1], [num_classes]))
        outputs = [
            helper.make_tensor_value_info("best", _FLOAT, [batch_size, num_classes]),
            helper.make_tensor_value_info("ids", TensorProto.INT64, [batch_size, num_classes]),
        ]
    image = helper.make_tensor_value_info("inputs", _FLOAT, [batch_size, *image_shape])
    return _write(directory, helper.make_graph(nodes, "tiny", [image], outputs, initializers))


def write_onnx_rows(directory: Path) -> Path:
    """Write a model that returns all numbers of an image [3, 32, 32], and can't do so for another size."""
    numbers = 3 * 32 * 32
    node = helper.make_node("Reshape", ["inputs", "rows"], ["scores"])
    rows = helper.make_tensor("rows", TensorProto.INT64, [2], [-1, numbers])
    image = helper.make_tensor_value_info("inputs", _FLOAT, [None, 3, 32, 32])
    scores = helper.make_tensor_value_info("scores", _FLOAT, [None, numbers])
    return _write(directory, helper.make_graph([node], "rows", [image], [scores], [rows]))


def _write(directory: Path, graph: Any) -> Path:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    directory.mkdir(parents=True, exist_ok=True)
    onnx.save(model, directory / "inference.onnx")
    return directory
