"""`python -m clas tune`: measure all engines on this machine, and name the best settings."""

import dataclasses
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from ..engine.choice import files_for
from ..engine.devices import available_cores
from ..engine.onnxruntime import OnnxRuntimeEngine
from ..errors import ClasError, DeviceError
from ..model.exported import ExportedModel, read_exported_model
from ..settings import SETTING_NAMES, Settings, load_settings
from .flags import add_gpu_flag, add_setting_flags, existing, given_settings, seconds
from .parser import Parser
from .terminal import LOGGER, run_to_status, show_log
from .trial.agreement import RULE
from .trial.images import TrialImages, trial_images
from .trial.process import LIMIT_S, run_in_process
from .trial.runs import ENGINES, measure
from .tune_report import Report
from .tune_run import Run

_VARIED: Final = ("engine", "precision", "cpu_num_threads")
_SETTING_FLAGS: Final = tuple(name for name in SETTING_NAMES if name not in (*_VARIED, "use_gpu"))
_SECONDS: Final = 4.0
_MOST_IMAGES: Final = 256
_GENERATED: Final = 64


def main(argv: Sequence[str]) -> int:
    """Run the command and return its exit status: 1 if there is no best engine."""
    args = parser().parse_args(argv)
    show_log(logging.DEBUG if args.verbose else logging.WARNING, "%(levelname)s: %(message)s")
    given = given_settings(args, (*_SETTING_FLAGS, "use_gpu"))
    images = trial_images(args.paths, _MOST_IMAGES, _GENERATED)
    return run_to_status(partial(_tune, given, images, args.seconds, args.format))


def parser() -> Parser:
    """Return the parser of the command's flags."""
    tune = Parser(
        prog="python -m clas tune",
        description="Run each engine that is installed and reads the model, in each precision that the "
        "machine has, with one thread and with all, and compare their scores with those of Paddle in fp32 "
        f"(or of the first engine there is). The best has the most images/s under load among those whose "
        f"scores agree: {RULE}.",
        allow_abbrev=False,
    )
    add = tune.add_argument
    what = f"Image, or folder of images; up to {_MOST_IMAGES} are taken; without any, some are generated"
    add("paths", nargs="*", type=existing, metavar="PATH", help=what)
    help_text = f"Seconds to measure each engine (default: {_SECONDS:g})"
    add("--seconds", type=seconds, default=_SECONDS, metavar="VALUE", help=help_text)
    add("--format", choices=("text", "json"), default="text", help="Format of the results (default: text)")
    add("--verbose", action="store_true", help="Log what the engines print")
    add_setting_flags(tune, _SETTING_FLAGS)
    add_gpu_flag(tune, "Measure on the GPU")
    return tune


def _tune(given: Mapping[str, object], images: TrialImages, seconds_each: float, form: str) -> int:
    _warn_of_load()
    base = load_settings(given)
    model = read_exported_model(base)
    passed_over: dict[str, str] = {}
    runs: list[Run] = []
    for settings in _variants(base, model, passed_over):
        name = f"{settings.engine} {settings.precision}"
        if name in passed_over:
            continue
        _show_progress(f"{name}, threads: {settings.cpu_num_threads or 'all'} ...")
        try:
            measurement = run_in_process(
                measure, settings, images, seconds_each, limit_s=LIMIT_S + seconds_each
            )
        except DeviceError as exc:  # such as a precision that the CPU doesn't have
            passed_over[name] = str(exc)
        except ClasError as exc:
            runs.append(Run(settings, None, str(exc)))
        else:
            runs.append(Run(settings, measurement))
    _show_progress("")
    report = Report(model.directory, images, runs, passed_over)
    for failure in report.reference.failures if report.reference else ():
        LOGGER.warning("%s", failure)
    lines = [report.as_json()] if form == "json" else report.as_text()
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return int(report.best is None)


def _warn_of_load() -> None:
    """Say so if other programs are at work, which makes all figures too low."""
    load, cores = _load(), available_cores()
    if load > cores / 2:
        LOGGER.warning("other programs are at work here: the load is %.1f, on %d cores", load, cores)


def _load() -> float:
    """How many threads were at work on average in the last minute; 0 where the system doesn't say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def _variants(base: Settings, model: ExportedModel, passed_over: dict[str, str]) -> Iterator[Settings]:
    """Yield what is to be measured; adds the engines that aren't to `passed_over`."""
    threads = [0] if base.use_gpu or available_cores() == 1 else [0, 1]
    for engine_class in ENGINES:
        try:
            files_for(engine_class, model.programs)
        except DeviceError as exc:
            passed_over[engine_class.name] = str(exc)
            continue
        for precision in ("fp32", "fp16" if base.use_gpu else "bf16"):
            needs_tensorrt = precision == "fp16" and engine_class is OnnxRuntimeEngine
            for count in threads:
                yield dataclasses.replace(
                    base,
                    engine=engine_class.name,
                    precision=precision,
                    cpu_num_threads=count,
                    use_tensorrt=base.use_tensorrt or needs_tensorrt,
                )


def _show_progress(text: str) -> None:
    """Show a line on a terminal in place of the last one."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()
