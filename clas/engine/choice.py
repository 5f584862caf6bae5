"""Chooses the engine that runs a model."""

import importlib.util
import logging
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

from ..errors import DeviceError, ModelLoadError
from ..model.files import ModelFiles
from ..settings import Settings
from .base import EngineClass
from .devices import WITH_CUDA, WITHOUT_GPU
from .loading import logged_while_loading
from .onnxruntime import OnnxRuntimeEngine
from .openvino import OpenVINOEngine
from .paddle import PaddleEngine

_LOGGER: Final = logging.getLogger("clas_system")
_ON_CPU: Final[Sequence[EngineClass]] = (OpenVINOEngine, PaddleEngine, OnnxRuntimeEngine)
_ON_GPU: Final[Sequence[EngineClass]] = (PaddleEngine, OnnxRuntimeEngine)
_ON_A_GPU: Final = f"; use_gpu needs {WITH_CUDA}; {WITHOUT_GPU}"
_PADDLES_SETTINGS: Final = ("enable_mkldnn", "ir_optim", "gpu_mem")

_Opened = TypeVar("_Opened")


class Choice(NamedTuple, Generic[_Opened]):
    """An engine that runs a model.

    Attributes:
        opened: What the caller's function opened.
        engine_class: The engine.
        files: The model's files that it reads.
        passed_over: The engines that would have come first, with the reasons why they can't run the model.
    """

    opened: _Opened
    engine_class: EngineClass
    files: ModelFiles
    passed_over: Mapping[str, str]


def choose(
    settings: Settings,
    programs: Sequence[ModelFiles],
    open_engine: Callable[[EngineClass, ModelFiles], _Opened],
) -> Choice[_Opened]:
    """Open a model with the engine of the settings; with `auto`, the first one that can run it.

    Args:
        settings: Read for engine and use_gpu.
        programs: The model in one format or several; an engine gets the first one that it reads.
        open_engine: Opens the model with an engine.

    Raises:
        DeviceError: The engine isn't installed, or doesn't have the device or the precision of the settings.
        ModelLoadError: The engine can't read or run the model.
        StartupError: Whatever else `open_engine` raises.
    """
    passed_over: dict[str, str] = {}
    failures: dict[str, DeviceError | ModelLoadError] = {}
    for engine_class in _candidates(settings):
        name = engine_class.name
        try:
            files = files_for(engine_class, programs)
        except DeviceError as exc:
            passed_over[name] = str(exc)
            continue
        try:
            with logged_while_loading(name):
                opened = open_engine(engine_class, files)
        except (DeviceError, ModelLoadError) as exc:
            failures[name] = exc
            passed_over[name] = str(exc).replace(f"{files.program.parent}/", "")  # nobody's paths in GET /
            continue
        for other, failure in failures.items():
            _LOGGER.warning("engine %s is passed over: %s", other, failure)
        _warn_of_paddles_settings(settings, name)
        return Choice(opened, engine_class, files, passed_over)
    if failures:
        raise list(failures.values())[-1]
    raise DeviceError(
        f"no engine can run this model: {'; '.join(passed_over.values())}{_conversion(programs)}"
        f"{_ON_A_GPU if settings.use_gpu else ''}"
    )


def files_for(engine_class: EngineClass, programs: Sequence[ModelFiles]) -> ModelFiles:
    """Return the first of a model's files that an engine reads; nothing is loaded.

    Raises:
        DeviceError: The engine isn't installed, or reads none of them.
    """
    name = engine_class.name
    files = next((files for files in programs if files.format in engine_class.formats), None)
    if files is None:
        there = ", ".join(files.program.name for files in programs)
        raise DeviceError(f"{name} reads {' and '.join(engine_class.formats)}, and there is {there}")
    if importlib.util.find_spec(name) is None:
        raise DeviceError(f"{name} isn't installed ({engine_class.install})")
    return files


def _candidates(settings: Settings) -> Sequence[EngineClass]:
    if settings.engine == "auto":
        return _ON_GPU if settings.use_gpu else _ON_CPU
    return [each for each in {*_ON_CPU, *_ON_GPU} if each.name == settings.engine]


def _conversion(programs: Sequence[ModelFiles]) -> str:
    """How to make a model of Paddle one for the other engines; empty if it is one."""
    if any(files.format == "onnx" for files in programs):
        return ""
    directory = shlex.quote(str(programs[0].program.parent))
    return f"; or make inference.onnx of it with constraints/convert.txt: python -m clas convert {directory}"


def _warn_of_paddles_settings(settings: Settings, engine: str) -> None:
    given = [name for name in _PADDLES_SETTINGS if name in settings.overridden]
    if given and engine != PaddleEngine.name:
        _LOGGER.warning("%s: ignored, for Paddle only; the engine is %s", ", ".join(given), engine)
