"""A model that computes next to nothing, so that what is measured is the server."""

from pathlib import Path
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper

INPUT: Final = "inputs"
BEST: Final = 7
"""The best class, whatever the image."""

_CLASSES: Final = 1000
_SIDE: Final = 224
_LEAD: Final = 20


def write_model(directory: Path) -> Path:
    """Write inference.onnx, of 1000 classes, which looks at one pixel; returns the folder, which is made."""
    weights = np.zeros((3, _CLASSES), np.float32)
    bias = np.eye(1, _CLASSES, BEST, np.float32) * _LEAD
    nodes = [
        helper.make_node("Slice", [INPUT, "zeros", "ones", "axes"], ["pixel"]),
        helper.make_node("Flatten", ["pixel"], ["values"]),
        helper.make_node("Gemm", ["values", "weights", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
    ]
    constants = [
        helper.make_tensor("zeros", TensorProto.INT64, [2], [0, 0]),
        helper.make_tensor("ones", TensorProto.INT64, [2], [1, 1]),
        helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3]),
        helper.make_tensor("weights", TensorProto.FLOAT, weights.shape, weights.ravel()),
        helper.make_tensor("bias", TensorProto.FLOAT, [_CLASSES], bias.ravel()),
    ]
    image = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, 3, _SIDE, _SIDE])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, _CLASSES])
    graph = helper.make_graph(nodes, "nothing", [image], [scores], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    directory.mkdir(parents=True, exist_ok=True)
    onnx.save(model, directory / "inference.onnx")
    return directory
