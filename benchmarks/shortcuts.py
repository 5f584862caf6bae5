"""What each shortcut of the standalone server buys: CPU time a request, with and without it.

    python benchmarks/shortcuts.py [--rounds 5] [--seconds 3] [--only NAME ...]

The model computes almost nothing, so what is measured is the server. Each shortcut is taken out of a copy of
the package; the server with all of them and the ones without run alternately. Medians of the differences.
Needs wrk (apt-get install wrk).
"""

import argparse
import shutil
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from repository import ROOT

# isort: split
import measure
from bodies import Body, Form, LabeledImage, make_bodies, write_bodies
from cheap_model import BEST, write_model
from sample_images import jpeg, varied
from servers import standalone

_CLIENTS: Final = 8


class Shortcut(NamedTuple):
    """One shortcut.

    Attributes:
        form: Of the requests that it is for.
        file: In clas/.
        text: What the shortcut is there.
        plain: What would be there without it.
    """

    form: Form
    file: str
    text: str
    plain: str


SHORTCUTS: Final[Mapping[str, Shortcut]] = {
    "head and body in one packet": Shortcut(
        "uint8",
        "serving/http/joined_writes.py",
        "            self._held = data\n            self._timeout.start()\n"
        "            self._loop.call_soon(self._flush)\n            return\n",
        "            self._timeout.start()\n",
    ),
    "one wake-up for several answers": Shortcut(
        "uint8",
        "serving/batching/notifier.py",
        "        loop = asyncio.get_running_loop()\n",
        "        return await asyncio.wrap_future(future)\n        loop = asyncio.get_running_loop()\n",
    ),
    "few best classes by passes": Shortcut("uint8", "output/topk.py", "if k <= _FEW:", "if k <= 0:"),
    "tensor's text cut out before JSON": Shortcut(
        "float32",
        "serving/http/tensor_text.py",
        "    start = _BEFORE_TEXT.match(body)\n",
        "    return body, None\n    start = _BEFORE_TEXT.match(body)\n",
    ),
    "freed memory kept": Shortcut(
        "encoded", "serving/http/app.py", "        keep_freed_memory(_KEPT_BLOCK, _KEPT)\n", ""
    ),
    "normalization by table": Shortcut(
        "uint8",
        "image/transforms.py",
        "if image.dtype == np.uint8 and channels == len(self._tables):",
        "if channels == -1:",
    ),
}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="(default: 5)")
    parser.add_argument("--seconds", type=float, default=3, help="of each load (default: 3)")
    parser.add_argument("--only", nargs="+", choices=SHORTCUTS, default=list(SHORTCUTS), metavar="NAME")
    args = parser.parse_args()
    print("| shortcut | form | CPU ms a request with it | without | it buys |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        model = write_model(work / "model")
        bodies = {form: _write_bodies(work / form, form) for form in ("uint8", "float32", "encoded")}
        for number, name in enumerate(args.only):
            shortcut = SHORTCUTS[name]
            without = _copy_without(shortcut, work / str(number))
            requests = work / shortcut.form, bodies[shortcut.form]
            pairs = [
                tuple(_cpu_ms(repository, model, *requests, args.seconds) for repository in (ROOT, without))
                for _ in range(args.rounds)
            ]
            with_ms, without_ms = (statistics.median(column) for column in zip(*pairs, strict=True))
            buys = statistics.median(two - one for one, two in pairs)
            print(f"| {name} | {shortcut.form} | {with_ms:.3f} | {without_ms:.3f} | {buys:.3f} |", flush=True)


def _cpu_ms(repository: Path, model: Path, directory: Path, bodies: list[Body], seconds: float) -> float:
    with standalone(model=model, repository=repository) as running:
        figures = measure.under_load(running, directory, bodies, _CLIENTS, seconds)
    if figures.cpu_ms is None:
        raise RuntimeError("the server's CPU time wasn't measured")
    return figures.cpu_ms


def _copy_without(shortcut: Shortcut, root: Path) -> Path:
    """Copy the package, and take a shortcut out of the copy; returns the folder that has the package."""
    ignored = shutil.ignore_patterns("inference", "__pycache__")
    shutil.copytree(ROOT / "clas", root / "clas", ignore=ignored)
    path = root / "clas" / shortcut.file
    content = path.read_text("utf-8")
    if content.count(shortcut.text) != 1:
        raise ValueError(f"{shortcut.file} doesn't hold {shortcut.text!r} once")
    path.write_text(content.replace(shortcut.text, shortcut.plain), "utf-8")
    return root


def _write_bodies(directory: Path, form: Form) -> list[Body]:
    images = [LabeledImage(jpeg(image), BEST) for image in varied(4 * _CLIENTS, seed=1)]
    bodies = make_bodies(form, images, 1)
    write_bodies(directory, bodies)
    return bodies


if __name__ == "__main__":
    main()
