"""`python -m clas check`: check that the service works on this machine, and how fast."""

import argparse
import contextlib
import json
import logging
import sys
from collections.abc import Generator, Mapping, Sequence
from functools import partial
from typing import Final

from ..errors import ClasError
from ..model.exported import ExportedModel, read_exported_model
from ..settings import load_settings
from .checks.inputs import prepare_inputs
from .checks.item import Item
from .checks.machine import check_devices, check_engines
from .checks.service import check_engine, check_forms, check_speed
from .flags import SETTING_FLAGS, add_gpu_flag, add_setting_flags, existing, given_settings, seconds
from .parser import Parser
from .terminal import run_to_status, show_log
from .trial.agreement import RULE
from .trial.images import WEAK_SIGN, TrialImages, trial_images
from .trial.server import Connection, TrialServer, trial_server

_SECONDS: Final = 3.0
_MOST_IMAGES: Final = 32
_GENERATED: Final = 16


def main(argv: Sequence[str]) -> int:
    """Run the command and return its exit status: 1 if any item failed."""
    args = parser().parse_args(argv)
    show_log(logging.DEBUG if args.verbose else logging.CRITICAL, "%(levelname)s: %(message)s")
    given = given_settings(args, (*SETTING_FLAGS, "use_gpu"))
    return run_to_status(partial(_show, _check(given, args), args.format))


def parser() -> Parser:
    """Return the parser of the command's flags."""
    check = Parser(
        prog="python -m clas check",
        description="Start the standalone server on a free port with these settings, send it requests of all "
        "three forms, and compare its answers with those of the same model on the CPU in fp32: "
        f"{RULE}. One line for each item; the exit status is 1 if any failed.",
        allow_abbrev=False,
    )
    add = check.add_argument
    what = f"Image, or folder of images; up to {_MOST_IMAGES} are taken; without any, some are generated"
    add("paths", nargs="*", type=existing, metavar="PATH", help=what)
    help_text = f"Seconds to measure images/s (default: {_SECONDS:g})"
    add("--seconds", type=seconds, default=_SECONDS, metavar="VALUE", help=help_text)
    add("--format", choices=("text", "json"), default="text", help="Format of the results (default: text)")
    add("--verbose", action="store_true", help="Log what the model prints")
    add_setting_flags(check, SETTING_FLAGS)
    add_gpu_flag(check, "Predict on the GPU")
    return check


def _check(given: Mapping[str, object], args: argparse.Namespace) -> Generator[Item, None, None]:
    """Yield one item after the other; what can't be checked after a failure is left out."""
    stage = "settings"
    try:
        settings = load_settings(given)
        yield from check_devices(settings)
        yield from check_engines()
        stage = "model"
        model = read_exported_model(settings)
        formats = ", ".join(files.format for files in model.programs)
        yield Item("ok", "model", f"{model.directory} ({formats})")
        images = trial_images(args.paths, _MOST_IMAGES, _GENERATED)
        stage = "server"
        with trial_server(given) as server:
            ready_s = server.wait_until_ready()
            yield Item("ok", "server", f"ready after {ready_s:.1f} s")
            yield from _check_server(server, model, images, args.seconds)
        yield Item(
            "ok" if server.exit_status == 0 else "warning", "stop", f"exit status {server.exit_status}"
        )
    except ClasError as exc:
        yield Item("FAILED", stage, f"{type(exc).__name__}: {exc}")


def _check_server(
    server: TrialServer, model: ExportedModel, images: TrialImages, seconds_long: float
) -> Generator[Item, None, None]:
    connection = Connection(server.port)
    try:
        description = connection.get("/")["model"]
        yield from check_engine(model.settings, description)
        inputs = prepare_inputs(images, model.settings, description)
        yield Item("ok", "images", str(images) if images.files else f"{images}; {WEAK_SIGN}")
        yield from (Item("warning", "images", failure) for failure in inputs.failures)
        yield from check_forms(connection, inputs, model, description)
        yield check_speed(server.port, inputs, seconds_long)
    finally:
        connection.close()


def _show(items: Generator[Item, None, None], form: str) -> int:
    """Print the items as they come; returns the exit status."""
    found: list[Item] = []
    with contextlib.closing(items):  # ends the server, whatever happens here
        for item in items:
            found.append(item)
            if form == "text":
                sys.stdout.write(f"{item}\n")
                sys.stdout.flush()
    failed = sum(item.state == "FAILED" for item in found)
    if form == "json":
        listed = [item._asdict() for item in found]
        sys.stdout.write(json.dumps({"ok": not failed, "items": listed, "rule": RULE}, indent=2) + "\n")
    return int(failed > 0)
