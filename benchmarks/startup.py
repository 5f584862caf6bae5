"""How long either face takes from its command until it can be asked, and where that time goes.

    python benchmarks/startup.py [--starts 5]

The parts are told by the time stamps of the server's own log, and by what Python takes to import a package
alone. Medians; the machine's caches are warm.
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
_IMPORTS: Final = {
    "python -c pass": "pass",
    "import paddle, alone": "from clas.device import import_paddle; import_paddle()",
    "import paddlehub, alone": "import paddlehub",
}
_MARKS: Final = {
    "standalone": {
        "HTTP process: Python and its imports": "listening at ",
        "until the model's process is told to load": "code: ",
        "model's process: Python, Paddle, load, warm-up": "model: ",
    },
    "PaddleHub": {
        "PaddleHub, until it makes the module": "code: ",
        "Paddle's part: load, warm-up": "model: ",
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
    for name, code in _IMPORTS.items():
        _print_row(name, [_run(code) for _ in range(starts)])
    faces: dict[str, Serve] = {"standalone": partial(standalone, whole=False), "PaddleHub": hub}
    for face, serve in faces.items():
        measured = [_start(serve, _MARKS[face]) for _ in range(starts)]
        for name in measured[0]:
            _print_row(f"{face}: {name}", [parts[name] for parts in measured])
    return 0


def _print_row(name: str, seconds: Sequence[float]) -> None:
    print(f"| {name} | {statistics.median(seconds):.2f} |", flush=True)


def _run(code: str) -> float:
    """Seconds that a Python takes which does no more than this."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, "HUB_HOME": home, "GLOG_minloglevel": "2"}
        command = [sys.executable, "-W", "ignore", "-c", code]
        subprocess.run(command, check=True, cwd=ROOT, env=env, capture_output=True)
    return time.perf_counter() - start


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
