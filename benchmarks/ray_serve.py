"""The same service on Ray Serve beside the standalone server, in one run, with what Ray's proxy costs.

    python benchmarks/ray_serve.py [--rounds 3] [--seconds 3] [--output FILE]

Each round starts each of the three once; all rounds are written, and medians over them are told. Every answer
is checked while it is being timed. Needs wrk (apt-get install wrk).
"""

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, Final

import psutil
import yaml
from repository import MODEL, ROOT

# isort: split
import measure
from bench import clear_default_images
from bodies import Form, make_bodies, write_bodies
from servers import Running, marked, standalone
from usage import processes

# isort: split
from clas.protocol import PREDICT_PATH
from server_process import free_port

_FORMS: Final[tuple[Form, ...]] = ("float32", "uint8", "encoded")
_CLIENTS: Final = 8
_CORES: Final = 2
_LOADED: Final = "model loaded and warmed up"
_PROXY: Final = "ray::ProxyActor"
_COLUMNS: Final = ("images_per_s", "p50_ms", "p99_ms", "cpu_ms", "model_cpu_ms", "proxy_cpu_ms")


@contextlib.contextmanager
def on_ray(replicas: int) -> Iterator[Running]:
    """serve_config.yaml's deployment on one node, with this many replicas that share the cores."""
    config: dict[str, Any] = yaml.safe_load((ROOT / "serve_config.yaml").read_text("utf-8"))
    [deployment] = config["applications"][0]["deployments"]
    del deployment["autoscaling_config"]
    deployment["num_replicas"] = replicas
    deployment["ray_actor_options"]["num_cpus"] = _CORES // replicas
    deployment["user_config"]["inference_model_dir"] = str(MODEL)
    with serving(config, replicas) as running:
        yield running


@contextlib.contextmanager
def serving(config: dict[str, Any], models: int) -> Iterator[Running]:
    """What `serve run` makes of a configuration, on one node.

    Args:
        config: The content of the file, but for host and port.
        models: How many of its replicas load a model.
    """
    port = free_port()
    config["http_options"].update(host="127.0.0.1", port=port)
    # It would report to its makers; the middleware is what users are told to have.
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'benchmarks'}", "RAY_USAGE_STATS_ENABLED": "0"}
    env["RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"] = "clas.serving.ray_app:proxy_middlewares"
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as directory:
        work, log = Path(directory), Path(directory) / "log"
        # All that it leaves goes with the directory, a token in its home as well; the log has all lines.
        env |= {
            "RAY_TMPDIR": directory,
            "HOME": directory,
            "RAY_AUTH_MODE": "disabled",
            "RAY_DEDUP_LOGS": "0",
        }
        (work / "serve.yaml").write_text(yaml.safe_dump(config), "utf-8")
        command = [str(Path(sys.executable).parent / "serve"), "run", "serve.yaml"]
        is_up = lambda: log.read_text("utf-8", "replace").count(_LOADED) == models  # noqa: E731  # each once
        with marked(command, log, env, work, is_up) as mark:
            yield Running(f"http://127.0.0.1:{port}{PREDICT_PATH}", mark, log)


def _measure(name: str, running: Running, directory: Path, clear: Sequence[Any], seconds: float) -> list[Any]:
    """One row for each form."""
    rows = []
    for form in _FORMS:
        bodies = make_bodies(form, clear, 1)
        if not (directory / form).is_dir():
            write_bodies(directory / form, bodies)
        before = _proxy_cpu_s(running.mark)
        figures = measure.under_load(running, directory / form, bodies, _CLIENTS, seconds)
        images = figures.images_per_s * (seconds + measure.WARM_UP_S)  # the proxy served the warm-up, too
        proxy_cpu_ms = 1000 * (_proxy_cpu_s(running.mark) - before) / images
        row = {column: getattr(figures, column, proxy_cpu_ms) for column in _COLUMNS}
        rows.append({"name": name, "form": form, **row})
        print(rows[-1], file=sys.stderr)
    return rows


def _proxy_cpu_s(mark: str) -> float:
    """CPU time of Ray's proxies so far; 0 for a server that has none."""
    seconds = 0.0
    for process in processes(mark):
        with contextlib.suppress(psutil.Error):
            if _PROXY in " ".join(process.cmdline()):
                times = process.cpu_times()
                seconds += times.user + times.system
    return seconds


def _table(rows: Sequence[dict[str, Any]]) -> str:
    """Medians over the rounds, in Markdown."""
    lines = ["| | form | images/s | p50 ms | p99 ms | CPU ms/image | of it model | of it Ray's proxy |"]
    lines.append("|" + "---|" * 8)
    for name, form in dict.fromkeys((row["name"], row["form"]) for row in rows):
        same = [row for row in rows if (row["name"], row["form"]) == (name, form)]
        medians = [statistics.median(row[column] for row in same) for column in _COLUMNS]
        places = (1, 1, 1, 2, 2, 2)
        cells = (f"{value:.{digits}f}" for value, digits in zip(medians, places, strict=True))
        lines.append(f"| {name} | {form} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Measure, and write what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="(default: 3)")
    parser.add_argument("--seconds", type=float, default=3, help="of each load (default: 3)")
    output = ROOT / "build" / "bench" / "ray_serve.json"
    parser.add_argument("--output", type=Path, default=output, help="(default: build/bench/ray_serve.json)")
    args = parser.parse_args()
    args.output.parent.mkdir(parents=True, exist_ok=True)
    clear = clear_default_images()
    starts: dict[str, Callable[[], AbstractContextManager[Running]]] = {
        "standalone": standalone,
        "Ray Serve, 1 replica": partial(on_ray, 1),
        "Ray Serve, 2 replicas": partial(on_ray, 2),
    }
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as directory:
        for number in range(args.rounds):
            for name, start in starts.items():
                with start() as running:
                    found = _measure(name, running, Path(directory), clear, args.seconds)
                rows += [{"round": number, **row} for row in found]
                args.output.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    print(_table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
