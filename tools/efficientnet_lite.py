"""The network EfficientNet-Lite0, built in Paddle's static graph from the tensors of a PyTorch checkpoint."""

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
"""What the weights were trained with (source: Google's EfficientNet; Paddle's own default is 1e-5)."""

IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
"""Mean of the images that the model is given, in RGB, of pixels in [0, 1] (source: ImageNet)."""

IMAGENET_STD: Final = (0.229, 0.224, 0.225)
"""Standard deviation that goes with IMAGENET_MEAN."""

TRAINING_MEAN: Final = 127.0
TRAINING_STD: Final = 128.0
"""With TRAINING_MEAN, how pixels in [0, 255] were normalized in training (source: Google's lite models)."""


class Stage(NamedTuple):
    """Blocks of the same kind, one after the other; only the first has the stride."""

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
    """The weights aren't there, or aren't those of EfficientNet-Lite0."""


class Convolution(NamedTuple):
    """A convolution without bias, by what its input doesn't say."""

    channels: int
    kernel: int = 1
    stride: int = 1
    groups: int = 1


class Weights:
    """The tensors of a checkpoint, to be used once each, as parameters of the graph being built.

    Args:
        tensors: Name -> tensor. The counters of training steps among them are of no use here.
    """

    def __init__(self, tensors: Mapping[str, Array]) -> None:
        self._unused = {
            name: tensor for name, tensor in tensors.items() if not name.endswith(".num_batches_tracked")
        }

    def take(self, name: str, shape: Sequence[int]) -> Array:
        """Return a tensor; raises `ExportError` if it is missing, already taken, or not float32 [shape]."""
        tensor = self._unused.pop(name, None)
        if tensor is None:
            raise ExportError(f"the checkpoint has no tensor {name} that isn't used yet")
        if tensor.shape != tuple(shape) or tensor.dtype != np.float32:
            raise ExportError(f"{name} is {tensor.dtype} {list(tensor.shape)}; wanted float32 {list(shape)}")
        return tensor

    def parameter(self, name: str, shape: Sequence[int]) -> paddle.Tensor:
        """Take a tensor and make it a parameter of the graph; raises as `take` does."""
        return create_parameter(name, self.take(name, shape))

    def check_all_used(self) -> None:
        """Raise `ExportError` if a tensor is left."""
        if self._unused:
            raise ExportError(f"the network has no place for {', '.join(self._unused)}")


def create_parameter(name: str, value: npt.ArrayLike) -> paddle.Tensor:
    """Make a float32 parameter with this value in the current program and scope."""
    array = np.ascontiguousarray(value, dtype=np.float32)
    # Set here rather than by an initializer, which would be run as a program of its own.
    paddle.static.global_scope().var(name).get_tensor().set(array, paddle.CPUPlace())
    return paddle.create_parameter(array.shape, "float32", name=name)


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return the zeros to add before and after, so that a convolution yields ceil(size / stride) values.

    This is TensorFlow's "SAME" padding, with which the weights were trained. Where the number of zeros is
    odd, one more comes after than before.
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
    # An argument of the convolution: as an operator of its own, the padding makes the model take 3 to 4 times
    # as long.
    padding = (
        *same_padding(height, conv.kernel, conv.stride),
        *same_padding(width, conv.kernel, conv.stride),
    )
    x = functional.conv2d(x, kernel, stride=conv.stride, padding=list(padding), groups=conv.groups)
    statistics = ("running_mean", "running_var", "weight", "bias")
    norm = [weights.parameter(f"{norm_name}.{name}", (conv.channels,)) for name in statistics]
    return functional.batch_norm(x, *norm, epsilon=BATCH_NORM_EPSILON)


def block(x: paddle.Tensor, weights: Weights, name: str, stage: Stage, stride: int) -> paddle.Tensor:
    """Apply an inverted residual: widen, filter each channel for itself, narrow; add the input if it fits."""
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
    """Turn images normalized for ImageNet into images normalized as in training."""
    # Not folded into the first convolution: its padding has to stay zero on the scale of the training.
    mean, std = np.array(IMAGENET_MEAN).reshape(3, 1, 1), np.array(IMAGENET_STD).reshape(3, 1, 1)
    factor = create_parameter("renormalize.factor", 255 * std / TRAINING_STD)
    summand = create_parameter("renormalize.summand", (255 * mean - TRAINING_MEAN) / TRAINING_STD)
    return x * factor + summand


def build_network(image: paddle.Tensor, weights: Weights) -> paddle.Tensor:
    """Build EfficientNet-Lite0 in the current program.

    Args:
        image: Images normalized for ImageNet, float32 [N, 3, H, W] with H and W known.
        weights: All tensors of the checkpoint.

    Returns:
        The probabilities of the classes, float32 [N, 1000].

    Raises:
        ExportError: A tensor is missing, has another shape, or is left over.
    """
    x = renormalize(image)
    stem = Convolution(STEM_CHANNELS, kernel=3, stride=2)
    x = functional.relu6(conv_norm(x, weights, "_conv_stem", "_bn0", stem))
    blocks = [(stage, repeat) for stage in STAGES for repeat in range(stage.repeats)]
    for number, (stage, repeat) in enumerate(blocks):
        x = block(x, weights, f"_blocks.{number}", stage, stride=1 if repeat else stage.stride)
    x = functional.relu6(conv_norm(x, weights, "_conv_head", "_bn1", Convolution(HEAD_CHANNELS)))
    x = functional.adaptive_avg_pool2d(x, 1).flatten(1)
    matrix = weights.take("_fc.weight", (CLASSES, HEAD_CHANNELS)).T  # Paddle wants [in, out]
    x = functional.linear(
        x, create_parameter("_fc.weight", matrix), weights.parameter("_fc.bias", (CLASSES,))
    )
    weights.check_all_used()
    return functional.softmax(x)
