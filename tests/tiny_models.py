"""Small Paddle models, written in a moment, whose answers can be told beforehand."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

try:
    import paddle
    from paddle.pir_utils import IrGuard
except ModuleNotFoundError:  # in the environment of a server without it: `make smoke`
    paddle = None
try:
    from paddle.pir_utils import OldIrGuard
except ImportError:  # Paddle 2 writes the old format only
    OldIrGuard = contextlib.nullcontext

HAS_PADDLE = paddle is not None
needs_paddle = pytest.mark.skipif(not HAS_PADDLE, reason="Paddle isn't installed")

Network = Callable[[Any], Any]


def brightest_channel(num_classes: int) -> Network:
    """Softmax over 10 x the mean of each channel, then 0 for all further classes.

    An image whose red (green, blue) is brightest is of class 0 (1, 2); all further classes are equal.
    """

    def network(image: Any) -> Any:
        means = 10 * image.mean([2, 3])
        return paddle.nn.functional.softmax(
            paddle.concat([means, paddle.zeros_like(means[:, :1]).expand([-1, num_classes - 3])], axis=1)
        )

    return network


def exchanged_channels(image: Any) -> Any:
    """`brightest_channel(6)`, but with red and blue exchanged: another model of the same form."""
    means = 10 * image.mean([2, 3])
    zeros = paddle.zeros_like(means[:, :1]).expand([-1, 3])
    return paddle.nn.functional.softmax(
        paddle.concat([means[:, 2:], means[:, 1:2], means[:, :1], zeros], axis=1)
    )


def bright_channels(num_outputs: int) -> Network:
    """Sigmoid over 10 x (mean - 0.5) of the last channels: 0.99331 of one that is full, or else 0.00669."""

    def network(image: Any) -> Any:
        means = 10 * (image.mean([2, 3])[:, -num_outputs:] - 0.5)
        # paddle.nn.functional.sigmoid can't be written in the format of .pdmodel any more.
        return paddle.nn.functional.softmax(paddle.stack([means, paddle.zeros_like(means)], axis=2))[:, :, 0]

    return network


def heads(*matrices: np.ndarray[Any, Any]) -> Network:
    """An output for each matrix [3, outputs]: the sigmoid of the channels' means times the matrix."""

    def network(image: Any) -> Any:
        means = image.mean([2, 3])
        made = []
        for matrix in matrices:
            assign = paddle.nn.initializer.Assign(matrix.astype(np.float32))
            weights = paddle.static.create_parameter(matrix.shape, "float32", default_initializer=assign)
            # Neither matmul nor sum can be written in the format of .pdmodel any more.
            products = 3 * (means.unsqueeze(2) * weights.unsqueeze(0)).mean(1)
            made.append(paddle.nn.functional.softmax(paddle.stack([products, 0 * products], 2))[:, :, 0])
        return tuple(made)

    return network


def heads_scores(batch: np.ndarray[Any, Any], *matrices: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What a model of `heads` answers, its outputs joined: by the definition."""
    means = batch.astype(np.float64).mean(axis=(2, 3))
    return np.concatenate([1 / (1 + np.exp(-means @ matrix)) for matrix in matrices], axis=1)


def logits(num_classes: int) -> Network:
    """10 x the mean of each channel, then 0 for all further classes."""

    def network(image: Any) -> Any:
        means = 10 * image.mean([2, 3])
        return paddle.concat([means, paddle.zeros_like(means[:, :1]).expand([-1, num_classes - 3])], axis=1)

    return network


def features_and_scores(image: Any) -> Any:
    """Two outputs: 128 values of the image, and the scores of 6 classes."""
    return image.flatten(1)[:, :128] * 1.0, brightest_channel(6)(image)


def three_best(image: Any) -> Any:
    """Two outputs: the ids of the three best of 6 classes, and their scores."""
    scores, class_ids = paddle.topk(brightest_channel(6)(image), 3)
    return class_ids, scores


def hidden_number(image: Any) -> Any:
    """1000 classes; that of `numbered_batch(n)` is n."""
    return paddle.nn.functional.softmax(20 * image.flatten(1)[:, :1000])


def numbered_batch(*numbers: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """One image [3, 32, 32] per number, that holds it for `hidden_number`."""
    batch = np.zeros((len(numbers), 3, 32, 32), np.float32)
    batch.reshape(len(numbers), -1)[range(len(numbers)), numbers] = 1
    return batch


def write_model(
    directory: Path,
    network: Network | None = None,
    *,
    input_shape: Sequence[int | None] = (None, 3, 32, 32),
    num_classes: int = 6,
    dtype: str = "float32",
    json: bool = False,
) -> Path:
    """Write `network` (default: `brightest_channel`) as an inference model, which takes images of `dtype`.

    Skips the test if the installed Paddle can't write this format.

    Returns:
        `directory`, which is made. Without Paddle, the test is skipped.
    """
    if not HAS_PADDLE:
        pytest.skip("Paddle writes the model of this test, and isn't installed")
    if json and OldIrGuard is contextlib.nullcontext:
        pytest.skip("this Paddle can't write the format of Paddle 3")
    directory.mkdir(parents=True, exist_ok=True)
    static = paddle.static
    dynamic = paddle.in_dynamic_mode()
    paddle.enable_static()
    try:
        with IrGuard() if json else OldIrGuard(), static.scope_guard(static.Scope()):
            main, startup = static.Program(), static.Program()
            with static.program_guard(main, startup):
                image = static.data("inputs", list(input_shape), dtype)
                # A parameter, since a model without any has no file of weights.
                one = static.create_parameter(
                    [1], "float32", default_initializer=paddle.nn.initializer.Constant(1.0)
                )
                outputs = (network or brightest_channel(num_classes))(image.astype("float32") * one)
            executor = static.Executor(paddle.CPUPlace())
            executor.run(startup)
            static.save_inference_model(
                str(directory / "inference"),
                [image],
                list(outputs) if isinstance(outputs, tuple) else [outputs],
                executor,
                program=main,
            )
    finally:
        if dynamic:
            paddle.disable_static()
    return directory


def solid_batch(*channels: int, side: int = 32) -> np.ndarray[Any, np.dtype[np.float32]]:
    """One image [3, side, side] per argument, with that channel at 1 and the others at 0."""
    batch = np.zeros((len(channels), 3, side, side), np.float32)
    for image, channel in zip(batch, channels, strict=True):
        image[channel] = 1
    return batch


def config_naming(label_file: str) -> str:
    """An inference.yml for the images of `write_model`, which names a file of labels."""
    return f"""
PreProcess:
  transform_ops:
  - ResizeImage:
      resize_short: 32
  - CropImage:
      size: 32
  - ToCHWImage:
PostProcess:
  Topk:
    topk: 2
    class_id_map_file: {label_file}
"""
