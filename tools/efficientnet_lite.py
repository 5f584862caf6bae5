"""EfficientNet-Lite0, built from the tensors of a PyTorch checkpoint as a graph of any library."""

from collections.abc import Mapping, Sequence
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from torch_checkpoint import Array

IMAGE_SIZE: Final = 224
CLASSES: Final = 1000
STEM_CHANNELS: Final = 32
HEAD_CHANNELS: Final = 1280
BATCH_NORM_EPSILON: Final = 1e-3
"""The epsilon used in training (source: Google's EfficientNet; Paddle's default is 1e-5)."""

IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
"""Mean of the model's input images: RGB, of pixels in [0, 1] (source: ImageNet)."""

IMAGENET_STD: Final = (0.229, 0.224, 0.225)
"""Standard deviation that belongs to IMAGENET_MEAN."""

TRAINING_MEAN: Final = 127.0
TRAINING_STD: Final = 128.0
"""Normalization of pixels in [0, 255] in training, with TRAINING_MEAN (source: Google's lite models)."""


class Stage(NamedTuple):
    """A sequence of identical blocks; only the first one has the stride."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES: Final = (
    Stage(repeats=1, kernel=3, stride=1, expansion=1, channels=16),
    Stage(repeats=2, kernel=3, stride=2, expansion=6, channels=24),
    Stage(repeats=2, kernel=5, stride=2, expansion=6, channels=40),
    Stage(repeats=3, kernel=3, stride=2, expansion=6, channels=80),
    Stage(repeats=3, kernel=5, stride=1, expansion=6, channels=112),
    Stage(repeats=4, kernel=5, stride=2, expansion=6, channels=192),
    Stage(repeats=1, kernel=3, stride=1, expansion=6, channels=320),
)
"""The body of the network (source: EfficientNet-B0 in table 1 of Tan and Le 2019, arXiv:1905.11946)."""


class ExportError(Exception):
    """Raised when the weights are missing, or not those of EfficientNet-Lite0."""


class Convolution(NamedTuple):
    """Parameters of a convolution without bias; the input has the rest."""

    channels: int
    kernel: int = 1
    stride: int = 1
    groups: int = 1


_Value = TypeVar("_Value")


class Norm(NamedTuple):
    """The statistics and the parameters of a batch normalization, each float32 [channels]."""

    mean: Array
    variance: Array
    scale: Array
    shift: Array


class Graph(Protocol[_Value]):
    """What is needed of a library's graph; parameters get the name of their tensor."""

    def multiply(self, x: _Value, name: str, factor: Array) -> _Value:
        """Multiply, by broadcasting."""

    def add(self, x: _Value, name: str, summand: Array) -> _Value:
        """Add, by broadcasting."""

    def join(self, x: _Value, y: _Value) -> _Value:
        """Add two values of the same shape."""

    def convolve(
        self, x: _Value, name: str, kernel: Array, conv: Convolution, padding: tuple[int, int]
    ) -> _Value:
        """Convolve without a bias; `padding` is that before and after, of height and of width."""

    def normalize(self, x: _Value, name: str, norm: Norm) -> _Value:
        """Return (x - mean) / sqrt(variance + BATCH_NORM_EPSILON) * scale + shift."""

    def relu6(self, x: _Value) -> _Value:
        """Return min(max(x, 0), 6)."""

    def pool(self, x: _Value) -> _Value:
        """Return the mean of each channel: [N, C, H, W] to [N, C]."""

    def linear(self, x: _Value, name: str, weight: Array, bias: Array) -> _Value:
        """Return x @ weight.T + bias, with a weight [out, in]."""

    def softmax(self, x: _Value) -> _Value:
        """Apply softmax along the last axis."""


class Weights:
    """The tensors of a checkpoint; each is used once.

    Args:
        tensors: Name -> tensor. Counters of training steps are ignored.
    """

    def __init__(self, tensors: Mapping[str, Array]) -> None:
        self._unused = {
            name: tensor for name, tensor in tensors.items() if not name.endswith(".num_batches_tracked")
        }

    def take(self, name: str, shape: Sequence[int]) -> Array:
        """Return a tensor; raises `ExportError` if it is missing, already taken, or not float32 [shape]."""
        tensor = self._unused.pop(name, None)
        if tensor is None:
            raise ExportError(f"the checkpoint has no tensor {name}, or it was used before")
        if tensor.shape != tuple(shape) or tensor.dtype != np.float32:
            raise ExportError(
                f"{name} is {tensor.dtype} {list(tensor.shape)}; expected float32 {list(shape)}"
            )
        return tensor

    def check_all_used(self) -> None:
        """Raise `ExportError` if a tensor wasn't used."""
        if self._unused:
            raise ExportError(f"the network doesn't use {', '.join(self._unused)}")


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return the padding before and after for which a convolution returns ceil(size / stride) values.

    This is TensorFlow's "SAME" padding, with which the weights were trained. If the total is odd, there is
    one more zero after than before.
    """
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class Features(NamedTuple, Generic[_Value]):
    """A value [N, channels, size, size] of a graph."""

    value: _Value
    channels: int
    size: int


def conv_norm(
    graph: Graph[_Value],
    x: Features[_Value],
    weights: Weights,
    names: tuple[str, str],
    conv: Convolution,
) -> Features[_Value]:
    """Apply a convolution and a batch normalization, whose tensors begin with these two names."""
    conv_name, norm_name = names
    kernel_shape = (conv.channels, x.channels // conv.groups, conv.kernel, conv.kernel)
    kernel = weights.take(f"{conv_name}.weight", kernel_shape)
    # As an argument of the convolution: in Paddle, a padding operator makes the model 3 to 4 times slower.
    padding = same_padding(x.size, conv.kernel, conv.stride)
    value = graph.convolve(x.value, f"{conv_name}.weight", kernel, conv, padding)
    parts = ("running_mean", "running_var", "weight", "bias")
    norm = Norm(*(weights.take(f"{norm_name}.{part}", (conv.channels,)) for part in parts))
    return Features(graph.normalize(value, norm_name, norm), conv.channels, -(-x.size // conv.stride))


def relu6(graph: Graph[_Value], x: Features[_Value]) -> Features[_Value]:
    """Apply min(max(x, 0), 6)."""
    return x._replace(value=graph.relu6(x.value))


def block(
    graph: Graph[_Value], x: Features[_Value], weights: Weights, name: str, stage: Stage, stride: int
) -> Features[_Value]:
    """Apply an inverted residual block: expand, depthwise convolution, project; add the input if it fits."""
    wide = x.channels * stage.expansion
    y = x
    if stage.expansion != 1:
        expand = (f"{name}._expand_conv", f"{name}._bn0")
        y = relu6(graph, conv_norm(graph, y, weights, expand, Convolution(wide)))
    depthwise = Convolution(wide, stage.kernel, stride, groups=wide)
    y = relu6(graph, conv_norm(graph, y, weights, (f"{name}._depthwise_conv", f"{name}._bn1"), depthwise))
    project = (f"{name}._project_conv", f"{name}._bn2")
    y = conv_norm(graph, y, weights, project, Convolution(stage.channels))
    if stride == 1 and x.channels == stage.channels:
        return y._replace(value=graph.join(x.value, y.value))
    return y


def renormalize(graph: Graph[_Value], image: _Value) -> _Value:
    """Convert images normalized for ImageNet to the normalization used in training."""
    # Not folded into the first convolution, whose padding must be zero after this normalization.
    mean, std = np.array(IMAGENET_MEAN).reshape(3, 1, 1), np.array(IMAGENET_STD).reshape(3, 1, 1)
    factor = as_float32(255 * std / TRAINING_STD)
    summand = as_float32((255 * mean - TRAINING_MEAN) / TRAINING_STD)
    scaled = graph.multiply(image, "renormalize.factor", factor)
    return graph.add(scaled, "renormalize.summand", summand)


def as_float32(value: npt.ArrayLike) -> Array:
    """Return a C-contiguous float32 array of it."""
    return np.asarray(value, dtype=np.float32, order="C")


def build_network(graph: Graph[_Value], image: _Value, weights: Weights) -> _Value:
    """Build EfficientNet-Lite0.

    Args:
        graph: Where to.
        image: Images normalized for ImageNet, float32 [N, 3, IMAGE_SIZE, IMAGE_SIZE].
        weights: All tensors of the checkpoint.

    Returns:
        The probabilities of the classes, float32 [N, 1000].

    Raises:
        ExportError: A tensor is missing, has the wrong shape, or isn't used.
    """
    x = Features(renormalize(graph, image), 3, IMAGE_SIZE)
    stem = Convolution(STEM_CHANNELS, kernel=3, stride=2)
    x = relu6(graph, conv_norm(graph, x, weights, ("_conv_stem", "_bn0"), stem))
    blocks = [(stage, repeat) for stage in STAGES for repeat in range(stage.repeats)]
    for number, (stage, repeat) in enumerate(blocks):
        x = block(graph, x, weights, f"_blocks.{number}", stage, stride=1 if repeat else stage.stride)
    x = relu6(graph, conv_norm(graph, x, weights, ("_conv_head", "_bn1"), Convolution(HEAD_CHANNELS)))
    matrix, bias = weights.take("_fc.weight", (CLASSES, HEAD_CHANNELS)), weights.take("_fc.bias", (CLASSES,))
    scores = graph.softmax(graph.linear(graph.pool(x.value), "_fc", matrix, bias))
    weights.check_all_used()
    return scores
