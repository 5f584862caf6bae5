"""How long either face takes from its command until it can be asked, and where that time goes.

    python benchmarks/startup.py [--starts 5]

The parts of a start are told by the time stamps of the server's own log. What takes most of them is measured
alone, too, each in a Python of its own, without that one's start and end. Medians; caches are warm: what is
measured is done once before.
"""

import argparse
import datetime as dt
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Final

from repository import ROOT

# isort: split
from servers import Running, hub, standalone

Serve = Callable[[], AbstractContextManager[Running]]

_STAMP: Final = r"\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3})\]"
_PADDLE: Final = "from clas.engine.paddle_config import import_paddle; import_paddle()"
_OPENVINO: Final = "from clas.engine.openvino_model import import_openvino; import_openvino()"
_LOAD: Final = """
from clas.engine.choice import files_for
from clas.engine.openvino import OpenVINOEngine
from clas.engine.paddle import PaddleEngine
from clas.model.files import find_model
from clas.settings import load_settings
settings = load_settings({})
files = find_model(settings)
"""
_ALONE: Final = {
    "import of the HTTP process' modules": ("", "import clas.serving.cli"),
    "import openvino": ("import numpy", _OPENVINO),
    "OpenVINO: load and warm-up": (
        _OPENVINO + _LOAD,
        "OpenVINOEngine(files_for(OpenVINOEngine, files), settings)",
    ),
    "import paddle": ("import numpy", _PADDLE),
    "Paddle: load and warm-up": (_PADDLE + _LOAD, "PaddleEngine(files_for(PaddleEngine, files), settings)"),
    "import paddlehub": ("", "import paddlehub"),
}
"""What is measured alone: what is done before, and what is timed."""

_STANDALONE: Final = {
    "parent and HTTP process: Python and their imports": "listening at ",
    "until the model is looked for": "code: ",
    "the engine: import, load, warm-up": "device: ",
}
_MARKS: Final = {
    "standalone": _STANDALONE,
    "standalone, Paddle": _STANDALONE,
    "PaddleHub": {
        "PaddleHub, until it makes the module": "code: ",
        "Paddle's part: load, warm-up": "device: ",
    },
}
"""Parts of a start, in their order: what the log says at the end of each."""


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--starts", type=int, default=5, help="of each (default: 5)")
    starts: int = parser.parse_args().starts
    print("| what | median s |\n|---|---|")
    _print_row("python -c pass", [_run("pass")[0] for _ in range(starts + 1)][1:])
    for name, (before, timed) in _ALONE.items():
        _print_row(f"alone: {name}", [_time(before, timed) for _ in range(starts + 1)][1:])
    faces: dict[str, Serve] = {
        "standalone": partial(standalone, whole=False),
        "standalone, Paddle": partial(standalone, ("--engine", "paddle"), whole=False),
        "PaddleHub": hub,
    }
    for face, serve in faces.items():
        measured = [_start(serve, _MARKS[face]) for _ in range(starts + 1)][1:]  # the first installs, too
        for name in measured[0]:
            _print_row(f"{face}: {name}", [parts[name] for parts in measured])
    return 0


def _print_row(name: str, seconds: Sequence[float]) -> None:
    print(f"| {name} | {statistics.median(seconds):.2f} |", flush=True)


def _run(code: str) -> tuple[float, str]:
    """Run a Python that does no more than this; returns the seconds it took, and what it printed."""
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, "HUB_HOME": home, "GLOG_minloglevel": "2"}
        start = time.perf_counter()
        command = [sys.executable, "-W", "ignore", "-c", code]
        done = subprocess.run(command, check=True, cwd=ROOT, env=env, capture_output=True, text=True)
        return time.perf_counter() - start, done.stdout


def _time(before: str, timed: str) -> float:
    """Seconds that a piece of code takes, after another; Python's own start and end are not in them."""
    lines = (
        *("import os, time", before, "start = time.perf_counter()", timed),
        "print(time.perf_counter() - start, flush=True)",
        "os._exit(0)",  # Paddle takes its time to end
    )
    return float(_run("\n".join(lines))[1].split()[-1])


def _start(serve: Serve, marks: dict[str, str]) -> dict[str, float]:
    """Start a server, and stop it.

    Returns:
        Part -> its seconds; `until it is ready` is the whole.
    """
    before = time.time()
    with serve() as running:
        ready = time.time()
        log = running.log.read_text(errors="replace")
    parts, last = {"until it is ready": ready - before}, before
    for name, words in marks.items():
        found = re.search(f"{_STAMP}.*{re.escape(words)}", log)
        if found is None:
            raise RuntimeError(f"the log doesn't say {words!r}")
        stamp = dt.datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S,%f").astimezone().timestamp()  # local time
        parts[name], last = stamp - last, stamp
    parts["from there until it answers"] = ready - last
    return parts


if __name__ == "__main__":
    sys.exit(main())
