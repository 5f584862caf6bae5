"""Builds EfficientNet-Lite0 as a static graph of Paddle from the tensors of a PyTorch checkpoint."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import paddle
from paddle.nn import functional

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


class Weights:
    """The tensors of a checkpoint; each becomes a parameter of the graph, once.

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

    def parameter(self, name: str, shape: Sequence[int]) -> paddle.Tensor:
        """Take a tensor and make it a parameter of the graph; raises as `take` does."""
        return create_parameter(name, self.take(name, shape))

    def check_all_used(self) -> None:
        """Raise `ExportError` if a tensor wasn't used."""
        if self._unused:
            raise ExportError(f"the network doesn't use {', '.join(self._unused)}")


def create_parameter(name: str, value: npt.ArrayLike) -> paddle.Tensor:
    """Make a float32 parameter with this value in the current program and scope."""
    array = np.ascontiguousarray(value, dtype=np.float32)
    # Not by an initializer, which would have to run as a program of its own.
    paddle.static.global_scope().var(name).get_tensor().set(array, paddle.CPUPlace())
    return paddle.create_parameter(array.shape, "float32", name=name)


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return the padding before and after for which a convolution returns ceil(size / stride) values.

    This is TensorFlow's "SAME" padding, with which the weights were trained. If the total is odd, there is
    one more zero after than before.
    """
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def conv_norm(
    x: paddle.Tensor, weights: Weights, conv_name: str, norm_name: str, conv: Convolution
) -> paddle.Tensor:
    """Apply a convolution and a batch normalization: [N, C, H, W] to [N, channels, H/stride, W/stride]."""
    _, channels, height, width = x.shape
    kernel = weights.parameter(
        f"{conv_name}.weight", (conv.channels, channels // conv.groups, conv.kernel, conv.kernel)
    )
    # As an argument of the convolution: a separate padding operator makes the model 3 to 4 times slower.
    padding = (
        *same_padding(height, conv.kernel, conv.stride),
        *same_padding(width, conv.kernel, conv.stride),
    )
    x = functional.conv2d(x, kernel, stride=conv.stride, padding=list(padding), groups=conv.groups)
    statistics = ("running_mean", "running_var", "weight", "bias")
    norm = [weights.parameter(f"{norm_name}.{name}", (conv.channels,)) for name in statistics]
    return functional.batch_norm(x, *norm, epsilon=BATCH_NORM_EPSILON)


def block(x: paddle.Tensor, weights: Weights, name: str, stage: Stage, stride: int) -> paddle.Tensor:
    """Apply an inverted residual block: expand, depthwise convolution, project; add the input if it fits."""
    channels = x.shape[1]
    wide = channels * stage.expansion
    y = x
    if stage.expansion != 1:
        y = functional.relu6(conv_norm(y, weights, f"{name}._expand_conv", f"{name}._bn0", Convolution(wide)))
    depthwise = Convolution(wide, stage.kernel, stride, groups=wide)
    y = functional.relu6(conv_norm(y, weights, f"{name}._depthwise_conv", f"{name}._bn1", depthwise))
    y = conv_norm(y, weights, f"{name}._project_conv", f"{name}._bn2", Convolution(stage.channels))
    return x + y if stride == 1 and channels == stage.channels else y


def renormalize(x: paddle.Tensor) -> paddle.Tensor:
    """Convert images normalized for ImageNet to the normalization used in training."""
    # Not folded into the first convolution, whose padding must be zero after this normalization.
    mean, std = np.array(IMAGENET_MEAN).reshape(3, 1, 1), np.array(IMAGENET_STD).reshape(3, 1, 1)
    factor = create_parameter("renormalize.factor", 255 * std / TRAINING_STD)
    summand = create_parameter("renormalize.summand", (255 * mean - TRAINING_MEAN) / TRAINING_STD)
    return x * factor + summand


def build_network(image: paddle.Tensor, weights: Weights) -> paddle.Tensor:
    """Build EfficientNet-Lite0 in the current program.

    Args:
        image: Images normalized for ImageNet, float32 [N, 3, H, W] with static H and W.
        weights: All tensors of the checkpoint.

    Returns:
        The probabilities of the classes, float32 [N, 1000].

    Raises:
        ExportError: A tensor is missing, has the wrong shape, or isn't used.
    """
    x = renormalize(image)
    stem = Convolution(STEM_CHANNELS, kernel=3, stride=2)
    x = functional.relu6(conv_norm(x, weights, "_conv_stem", "_bn0", stem))
    blocks = [(stage, repeat) for stage in STAGES for repeat in range(stage.repeats)]
    for number, (stage, repeat) in enumerate(blocks):
        x = block(x, weights, f"_blocks.{number}", stage, stride=1 if repeat else stage.stride)
    x = functional.relu6(conv_norm(x, weights, "_conv_head", "_bn1", Convolution(HEAD_CHANNELS)))
    x = functional.adaptive_avg_pool2d(x, 1).flatten(1)
    matrix = weights.take("_fc.weight", (CLASSES, HEAD_CHANNELS)).T  # Paddle has [in, out]
    x = functional.linear(
        x, create_parameter("_fc.weight", matrix), weights.parameter("_fc.bias", (CLASSES,))
    )
    weights.check_all_used()
    return functional.softmax(x)
