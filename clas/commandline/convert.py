"""`python -m clas convert`: make inference.onnx of a model in one of Paddle's formats."""

import argparse
import contextlib
import dataclasses
import importlib.util
import logging
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from ..engine.onnxruntime import OnnxRuntimeEngine
from ..engine.openvino import OpenVINOEngine
from ..engine.paddle import PaddleEngine
from ..errors import DeviceError, LabelFileError, ModelLoadError, PredictionError, SettingsError
from ..model.config_files import FILE_NAME
from ..model.exported import ExportedModel, read_exported_model
from ..model.files import MODULE_DIR, ModelFiles, find_label_file
from ..model.inference_yml import ModelConfig
from ..model.signature import read_signature
from ..settings import Settings, load_settings
from .flags import add_setting_flags, existing, given_settings
from .onnx_export import export_onnx
from .parser import Parser
from .terminal import LOGGER, run_to_status, show_log
from .trial.agreement import TOLERANCE, compare_scores
from .trial.images import TrialImages, trial_images
from .trial.process import run_in_process
from .trial.runs import answers_of

_SETTING_FLAGS: Final = ("output_name", "output_names", "resize_short", "crop_size", "resize_size")
_READERS: Final = (OnnxRuntimeEngine.name, OpenVINOEngine.name)
_CONVERTER: Final = "paddle2onnx"
_ONNX: Final = "inference.onnx"
_MOST_IMAGES: Final = 64
_GENERATED: Final = 16
_MB: Final = 1e6


def main(argv: Sequence[str]) -> int:
    """Run the command and return its exit status: 1 if there is no new model."""
    args = parser().parse_args(argv)
    show_log(logging.DEBUG if args.verbose else logging.WARNING, "%(levelname)s: %(message)s")
    return run_to_status(partial(_run, args))


def parser() -> Parser:
    """Return the parser of the command's flags."""
    convert = Parser(
        prog="python -m clas convert",
        description="Make inference.onnx of inference.pdmodel or inference.json by paddle2onnx, and compare "
        "both on images before it is kept: no fp32 score may differ by more than "
        f"{TOLERANCE:g} of the largest score. Nothing is installed; constraints/convert.txt has all that it "
        "takes, for an environment of its own.",
        allow_abbrev=False,
    )
    add = convert.add_argument
    add("directory", type=existing, metavar="DIR", help="Folder of the model")
    help_text = "Folder for inference.onnx, inference.yml and the label file it names (default: DIR)"
    add("--output", type=Path, metavar="DIR", help=help_text)
    what = (
        f"Images to compare by, or folders of them; up to {_MOST_IMAGES} are taken; "
        "without any, some are generated"
    )
    add("--images", nargs="+", type=existing, default=(), metavar="PATH", help=what)
    add("--verbose", action="store_true", help="Log what the converter prints")
    add_setting_flags(convert, _SETTING_FLAGS)
    return convert


def _run(args: argparse.Namespace) -> int:
    _check_installed()
    given = given_settings(args, _SETTING_FLAGS)
    fixed = {"use_gpu": False, "use_tensorrt": False, "precision": "fp32", "class_id_map_file": ""}
    settings = load_settings({**given, **fixed, "inference_model_dir": str(args.directory)})
    model = read_exported_model(settings)
    source = next((files for files in model.programs if files.format in PaddleEngine.formats), None)
    if source is None:
        raise ModelLoadError(f"{model.directory} holds {_ONNX} only; there is nothing to convert")
    read_signature(source, settings.wanted_outputs)  # what can't be served isn't worth converting
    output = (args.output or model.directory).absolute()
    companions = _companions(model, output)
    for name, file in {_ONNX: None, **companions}.items():
        _refuse_to_replace(output / name, file)
    images = trial_images(args.images, _MOST_IMAGES, _GENERATED)
    try:
        with _created(output), tempfile.TemporaryDirectory(prefix=".convert-", dir=output) as staging:
            made = _convert(source, model.config, Path(staging))
            _compare(settings, made, images)
            for name, file in companions.items():
                (output / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, made.with_name("copy"))
                made.with_name("copy").replace(output / name)
            size = made.stat().st_size / _MB
            made.replace(output / _ONNX)  # last: what is there is complete
    except OSError as exc:
        raise SettingsError(f"{output} can't be written: {exc.strerror}") from exc
    along = f"; copied along: {', '.join(companions)}" if companions else ""
    sys.stdout.write(f"made {output / _ONNX}: {size:.1f} MB, from {source.program.name}{along}\n")
    return 0


def _check_installed() -> None:
    """Check that everything is there, before anything is done."""
    names = [_CONVERTER, PaddleEngine.name]
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if not any(map(importlib.util.find_spec, _READERS)):
        missing.append(" or ".join(_READERS))
    if missing:
        raise DeviceError(
            f"convert needs {', '.join(missing)}: make an environment of its own, "
            "python -m venv .venv-convert, and install the set for it there, "
            ".venv-convert/bin/pip install --no-deps -r constraints/convert.txt"
        )


def _companions(model: ExportedModel, output: Path) -> dict[str, Path]:
    """Return the files to copy to another folder, by their new names: inference.yml, and its label file."""
    if model.config is None or output.resolve() == model.directory:
        return {}
    found = {FILE_NAME: model.config.path}
    name = model.config.values.get("class_id_map_file")
    if not name:
        return found
    settings = dataclasses.replace(model.settings, class_id_map_file=str(name))
    try:
        label_file = find_label_file(settings, model_dir=model.directory)
    except LabelFileError as exc:
        LOGGER.warning("the label file isn't copied: %s", exc)
        return found
    if label_file and not label_file.is_relative_to(MODULE_DIR):
        is_inside = label_file.is_relative_to(model.directory)
        found[str(label_file.relative_to(model.directory)) if is_inside else label_file.name] = label_file
    return found


def _refuse_to_replace(target: Path, file: Path | None) -> None:
    """Refuse to replace a file of the user's, unless it is the same."""
    if not target.exists():
        return
    if file is None or target.read_bytes() != file.read_bytes():
        raise SettingsError(f"there is a file {target}: move it away, or name another folder with --output")


@contextlib.contextmanager
def _created(directory: Path) -> Iterator[None]:
    """Create a folder; remove it again if the block fails."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for path in missing:
            with contextlib.suppress(OSError):  # somebody else has put a file there
                path.rmdir()
        raise


def _convert(source: ModelFiles, config: ModelConfig | None, staging: Path) -> Path:
    target = staging / _ONNX
    run_in_process(export_onnx, source, target)
    if config:
        shutil.copyfile(config.path, staging / FILE_NAME)
    return target


def _compare(settings: Settings, made: Path, images: TrialImages) -> None:
    """Compare the new model with the one that it was made of.

    Raises:
        PredictionError: They don't agree.
    """
    reference = run_in_process(answers_of, dataclasses.replace(settings, engine=PaddleEngine.name), images)
    for failure in reference.failures:
        LOGGER.warning("%s", failure)
    for engine in _READERS:
        if importlib.util.find_spec(engine) is None:
            continue
        other = dataclasses.replace(settings, engine=engine, inference_model_dir=str(made.parent))
        answers = run_in_process(answers_of, other, images)
        agreement = compare_scores(answers.scores, reference.scores)
        names = [f"{info.name} {info.version}" for info in (answers.info, reference.info)]
        sys.stdout.write(f"{names[0]} and {names[1]}, {images}: {agreement}\n")
        if not agreement.holds("fp32"):
            raise PredictionError(
                f"the new model doesn't answer as the old one does, and isn't kept: {agreement}, "
                f"and {TOLERANCE:g} of the largest score, {agreement.largest_score:.4g}, is allowed"
            )
