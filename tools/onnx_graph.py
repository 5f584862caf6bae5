"""Writes EfficientNet-Lite0 as an ONNX model, without Paddle."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from efficientnet_lite import (
    BATCH_NORM_EPSILON,
    CLASSES,
    IMAGE_SIZE,
    Convolution,
    Norm,
    Weights,
    as_float32,
    build_network,
)
from torch_checkpoint import Array

_OPSET: Final = 13
_IR_VERSION: Final = 8
"""Versions that OpenVINO and ONNX Runtime have read since 2021; newer ones would add nothing here."""

_INPUT: Final = "inputs"
_OUTPUT: Final = "scores"


class OnnxGraph:
    """The nodes and the parameters of an ONNX graph, whose values are names; see `efficientnet_lite.Graph`.

    Attributes:
        nodes: In the order in which they are computed.
        parameters: Their values.
    """

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.parameters: list[onnx.TensorProto] = []
        self._bounds = [self._parameter(f"relu6.{bound}", np.float32(bound)) for bound in (0, 6)]

    def multiply(self, x: str, name: str, factor: Array) -> str:
        """See `Graph`."""
        return self._node("Mul", x, self._parameter(name, factor))

    def add(self, x: str, name: str, summand: Array) -> str:
        """See `Graph`."""
        return self._node("Add", x, self._parameter(name, summand))

    def join(self, x: str, y: str) -> str:
        """See `Graph`."""
        return self._node("Add", x, y)

    def convolve(self, x: str, name: str, kernel: Array, conv: Convolution, padding: tuple[int, int]) -> str:
        """See `Graph`."""
        before, after = padding
        return self._node(
            "Conv",
            x,
            self._parameter(name, kernel),
            strides=[conv.stride, conv.stride],
            pads=[before, before, after, after],
            group=conv.groups,
        )

    def normalize(self, x: str, name: str, norm: Norm) -> str:
        """See `Graph`."""
        order = ("scale", "shift", "mean", "variance")
        parameters = [self._parameter(f"{name}.{part}", getattr(norm, part)) for part in order]
        return self._node("BatchNormalization", x, *parameters, epsilon=BATCH_NORM_EPSILON)

    def relu6(self, x: str) -> str:
        """See `Graph`."""
        return self._node("Clip", x, *self._bounds)

    def pool(self, x: str) -> str:
        """See `Graph`."""
        return self._node("Flatten", self._node("GlobalAveragePool", x))

    def linear(self, x: str, name: str, weight: Array, bias: Array) -> str:
        """See `Graph`."""
        parameters = self._parameter(f"{name}.weight", weight), self._parameter(f"{name}.bias", bias)
        return self._node("Gemm", x, *parameters, transB=1)

    def softmax(self, x: str) -> str:
        """See `Graph`."""
        return self._node("Softmax", x, axis=-1)

    def _node(self, operator: str, *inputs: str, **attributes: Any) -> str:  # noqa: ANN401  # each operator has its own
        """Add a node; returns the name of its output."""
        name = f"{operator}.{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def _parameter(self, name: str, value: npt.ArrayLike) -> str:
        self.parameters.append(numpy_helper.from_array(as_float32(value), name))
        return name


def save(tensors: Mapping[str, Array], directory: Path) -> None:
    """Write the network with these weights as inference.onnx.

    Raises:
        ExportError: The tensors aren't those of EfficientNet-Lite0.
        OSError: The directory can't be written.
    """
    graph = OnnxGraph()
    scores = build_network(graph, _INPUT, Weights(tensors))
    graph.nodes.append(helper.make_node("Identity", [scores], [_OUTPUT], name=_OUTPUT))
    float32 = TensorProto.FLOAT
    image = helper.make_tensor_value_info(_INPUT, float32, ["N", 3, IMAGE_SIZE, IMAGE_SIZE])
    output = helper.make_tensor_value_info(_OUTPUT, float32, ["N", CLASSES])
    whole = helper.make_graph(graph.nodes, "EfficientNet-Lite0", [image], [output], graph.parameters)
    model = helper.make_model(
        whole, ir_version=_IR_VERSION, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="clas"
    )
    onnx.checker.check_model(model)
    onnx.save(model, directory / "inference.onnx")
