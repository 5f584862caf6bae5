"""Writes EfficientNet-Lite0 as an inference model of Paddle."""

from collections.abc import Mapping
from pathlib import Path

import paddle
from paddle.nn import functional
from paddle.pir_utils import IrGuard, OldIrGuard

from efficientnet_lite import (
    BATCH_NORM_EPSILON,
    IMAGE_SIZE,
    Convolution,
    Norm,
    Weights,
    as_float32,
    build_network,
)
from torch_checkpoint import Array


class PaddleGraph:
    """The current program and scope of Paddle; see `efficientnet_lite.Graph`."""

    def multiply(self, x: paddle.Tensor, name: str, factor: Array) -> paddle.Tensor:
        """See `Graph`."""
        return x * _parameter(name, factor)

    def add(self, x: paddle.Tensor, name: str, summand: Array) -> paddle.Tensor:
        """See `Graph`."""
        return x + _parameter(name, summand)

    def join(self, x: paddle.Tensor, y: paddle.Tensor) -> paddle.Tensor:
        """See `Graph`."""
        return x + y

    def convolve(
        self, x: paddle.Tensor, name: str, kernel: Array, conv: Convolution, padding: tuple[int, int]
    ) -> paddle.Tensor:
        """See `Graph`."""
        return functional.conv2d(
            x, _parameter(name, kernel), stride=conv.stride, padding=[*padding, *padding], groups=conv.groups
        )

    def normalize(self, x: paddle.Tensor, name: str, norm: Norm) -> paddle.Tensor:
        """See `Graph`."""
        parameters = [_parameter(f"{name}.{part}", getattr(norm, part)) for part in norm._fields]
        return functional.batch_norm(x, *parameters, epsilon=BATCH_NORM_EPSILON)

    def relu6(self, x: paddle.Tensor) -> paddle.Tensor:
        """See `Graph`."""
        return functional.relu6(x)

    def pool(self, x: paddle.Tensor) -> paddle.Tensor:
        """See `Graph`."""
        return functional.adaptive_avg_pool2d(x, 1).flatten(1)

    def linear(self, x: paddle.Tensor, name: str, weight: Array, bias: Array) -> paddle.Tensor:
        """See `Graph`."""
        matrix = _parameter(f"{name}.weight", weight.T)  # Paddle has [in, out]
        return functional.linear(x, matrix, _parameter(f"{name}.bias", bias))

    def softmax(self, x: paddle.Tensor) -> paddle.Tensor:
        """See `Graph`."""
        return functional.softmax(x)


def _parameter(name: str, value: Array) -> paddle.Tensor:
    """Make a float32 parameter with this value in the current program and scope."""
    array = as_float32(value)
    # Not by an initializer, which would have to run as a program of its own.
    paddle.static.global_scope().var(name).get_tensor().set(array, paddle.CPUPlace())
    return paddle.create_parameter(array.shape, "float32", name=name)


def save(tensors: Mapping[str, Array], directory: Path, graph_format: str) -> None:
    """Write the network with these weights as inference.<format> and inference.pdiparams.

    Args:
        tensors: Those of the checkpoint.
        directory: Where to.
        graph_format: "pdmodel" or "json".

    Raises:
        ExportError: The tensors aren't those of EfficientNet-Lite0.
        OSError: The directory can't be written.
    """
    static = paddle.static
    format_guard = OldIrGuard() if graph_format == "pdmodel" else IrGuard()
    # A separate program, scope and set of names, since the caller may be using a graph.
    with format_guard, static.scope_guard(static.Scope()), paddle.utils.unique_name.guard():
        main = static.Program()
        with static.program_guard(main, static.Program()):
            image = static.data("inputs", [None, 3, IMAGE_SIZE, IMAGE_SIZE], "float32")
            scores = build_network(PaddleGraph(), image, Weights(tensors))
        executor = static.Executor(paddle.CPUPlace())
        static.save_inference_model(str(directory / "inference"), [image], [scores], executor, program=main)
