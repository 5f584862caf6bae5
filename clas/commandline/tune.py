"""`python -m clas tune`: measure all engines on this machine, and name the best settings."""

import dataclasses
import json
import logging
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from ..engine.choice import files_for
from ..engine.devices import available_cores
from ..engine.paddle import PaddleEngine
from ..errors import ClasError, DeviceError
from ..model.exported import ExportedModel, read_exported_model
from ..settings import SETTING_NAMES, Settings, load_settings
from .flags import Parser, add_setting_flags, existing, given_settings, seconds
from .terminal import LOGGER, run_to_status, show_log
from .trial.agreement import RULE
from .trial.images import WEAK_SIGN, TrialImages, trial_images
from .trial.process import run_in_process
from .trial.runs import ENGINES, measure
from .tune_table import Run, as_text

_VARIED: Final = ("engine", "precision", "cpu_num_threads")
_SETTING_FLAGS: Final = tuple(name for name in SETTING_NAMES if name not in (*_VARIED, "use_gpu"))
_SECONDS: Final = 4.0
_MOST_IMAGES: Final = 256
_GENERATED: Final = 64


def main(argv: Sequence[str]) -> int:
    """Run the command and return its exit status: 1 if no engine runs the model."""
    args = parser().parse_args(argv)
    show_log(logging.DEBUG if args.verbose else logging.WARNING, "%(levelname)s: %(message)s")
    given = given_settings(args, _SETTING_FLAGS)
    if args.use_gpu:
        given["use_gpu"] = True
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
    what = f"Image, or folder of images; up to {_MOST_IMAGES} are taken (default: generated ones)"
    add("paths", nargs="*", type=existing, metavar="PATH", help=what)
    add("--use_gpu", action="store_true", default=None, help="Measure on the GPU")
    help_text = f"Seconds to measure each engine (default: {_SECONDS:g})"
    add("--seconds", type=seconds, default=_SECONDS, metavar="VALUE", help=help_text)
    add("--format", choices=("text", "json"), default="text", help="Format of the results (default: text)")
    add("--verbose", action="store_true", help="Log what the engines print")
    add_setting_flags(tune, _SETTING_FLAGS)
    return tune


def _tune(given: Mapping[str, object], images: TrialImages, seconds_each: float, form: str) -> int:
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
            measurement = run_in_process(measure, settings, images, seconds_each)
        except DeviceError as exc:  # such as a precision that the CPU doesn't have
            passed_over[name] = str(exc)
        except ClasError as exc:
            runs.append(Run(settings, None, str(exc)))
        else:
            runs.append(Run(settings, measurement))
    _show_progress("")
    _report(model, images, runs, passed_over, form)
    return int(not any(run.measurement for run in runs))


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
            for count in threads:
                yield dataclasses.replace(
                    base, engine=engine_class.name, precision=precision, cpu_num_threads=count
                )


def _report(
    model: ExportedModel,
    images: TrialImages,
    runs: Sequence[Run],
    passed_over: Mapping[str, str],
    form: str,
) -> None:
    reference = next((run for run in runs if run.measurement and run.settings.precision == "fp32"), None)
    for run in runs:
        run.compare_with(reference)
    best = max((run for run in runs if run.agrees), key=lambda run: run.images_per_s, default=None)
    for line in reference.measurement.answers.failures if reference and reference.measurement else ():
        LOGGER.warning("%s", line)
    facts: dict[str, Any] = {
        "model": str(model.directory),
        "cores": available_cores(),
        "images": images.count,
        "generated": not images.files,
        "reference": reference.name if reference else None,
        "rule": RULE,
        "runs": [{**run.as_dict(), "best": run is best} for run in runs],
        "passed_over": dict(passed_over),
        "init_args": _init_args(best.settings) if best else None,
        "flags": _flags(_init_args(best.settings)) if best else None,
    }
    if form == "json":
        sys.stdout.write(json.dumps(facts, indent=2) + "\n")
        return
    remark = "" if images.files else f"; {WEAK_SIGN}"
    sys.stdout.write(f"model: {model.directory}; cores: {available_cores()}; {images}{remark}\n\n")
    sys.stdout.write("".join(f"{line}\n" for line in as_text(runs, best)))
    for name, reason in passed_over.items():
        sys.stdout.write(f"not measured: {name}: {reason}\n")
    if reference:
        sys.stdout.write(f"\ncompared with {reference.name}; {RULE}\n")
    if best:
        sys.stdout.write(f"best: {best.name}\n  init_args: {json.dumps(facts['init_args'])}\n")
        sys.stdout.write(f"  flags:     {facts['flags']}\n")


def _init_args(settings: Settings) -> dict[str, object]:
    """Return the settings to paste; all cores are the default, under which a server shares them out."""
    names = ["engine", "precision", *(["cpu_num_threads"] if settings.cpu_num_threads else [])]
    if settings.engine == PaddleEngine.name and not settings.use_gpu:
        names.append("enable_mkldnn")  # which the shipped config.json switches off
    if settings.use_gpu:
        names += ["use_gpu", *(["use_tensorrt"] if settings.use_tensorrt else [])]
    return {name: getattr(settings, name) for name in names}


def _flags(init_args: Mapping[str, object]) -> str:
    words = []
    for name, value in init_args.items():
        words.append(f"--{name}")
        if name != "use_gpu":
            words.append(str(value).lower() if isinstance(value, bool) else str(value))
    return shlex.join(words)


def _show_progress(text: str) -> None:
    """Show a line on a terminal in place of the last one."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()
