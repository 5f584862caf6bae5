"""What several models cost on Ray Serve: in applications of their own, or behind an ingress deployment.

    python -W ignore benchmarks/ray_routing.py [--rounds 3] [--seconds 3]

Each round starts each of the three once; medians over the rounds are told. Every answer is checked while it
is being timed. Needs wrk (apt-get install wrk).
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import yaml
from repository import MODEL, ROOT

# isort: split
import measure
from bench import clear_default_images
from bodies import make_bodies, write_bodies
from ray_serve import serving

# isort: split
from clas.protocol import MODULE_NAME, PREDICT_PATH

_CLIENTS: Final = 8
_USER_CONFIG: Final = {"inference_model_dir": str(MODEL)}
_COLUMNS: Final = ("images_per_s", "p50_ms", "alone_p50_ms", "cpu_ms")


def _single() -> list[dict[str, Any]]:
    """The application of serve_config.yaml."""
    [application] = yaml.safe_load((ROOT / "serve_config.yaml").read_text("utf-8"))["applications"]
    application["deployments"] = [_deployment()]
    return [application]


def _of_its_own() -> list[dict[str, Any]]:
    """Those of serve_models.yaml, with this model."""
    overview, application, _ = yaml.safe_load((ROOT / "serve_models.yaml").read_text("utf-8"))["applications"]
    overview["deployments"][0]["user_config"] = {"models": [MODULE_NAME]}
    application.update(name=MODULE_NAME, route_prefix=PREDICT_PATH, deployments=[_deployment()])
    application["args"] = {"modules_info": {MODULE_NAME: {}}}
    return [overview, application]


def _behind_ingress() -> list[dict[str, Any]]:
    deployments = [_deployment(), {"name": "ingress", "ray_actor_options": {"num_cpus": 0}}]
    path = "ray_routing_apps:behind_ingress"
    return [{"name": "models", "route_prefix": "/", "import_path": path, "deployments": deployments}]


def _deployment() -> dict[str, Any]:
    return {"name": MODULE_NAME, "ray_actor_options": {"num_cpus": 2}, "user_config": _USER_CONFIG}


def main() -> int:
    """Measure, and tell what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="(default: 3)")
    parser.add_argument("--seconds", type=float, default=3, help="of each load (default: 3)")
    args = parser.parse_args()
    starts = {
        "a single model": _single,
        "one of several, in an application of its own": _of_its_own,
        "one of several, behind an ingress deployment": _behind_ingress,
    }
    rows: dict[str, list[tuple[float, ...]]] = {name: [] for name in starts}
    bodies = make_bodies("uint8", clear_default_images(), 1)
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary) / "bodies"
        write_bodies(directory, bodies)
        for _ in range(args.rounds):
            for name, start in starts.items():
                config = {"http_options": {}, "applications": start()}
                with serving(config, models=1) as running:
                    many = measure.under_load(running, directory, bodies, _CLIENTS, args.seconds)
                    one = measure.under_load(running, directory, bodies, 1, args.seconds)
                figures = (many.images_per_s, many.p50_ms or 0, one.p50_ms or 0, many.cpu_ms or 0)
                rows[name].append(figures)
                print(name, dict(zip(_COLUMNS, figures, strict=True)), file=sys.stderr)
    print("| | images/s | p50 ms | p50 ms, one client | CPU ms/image |\n|---|---|---|---|---|")
    for name, found in rows.items():
        medians = [statistics.median(column) for column in zip(*found, strict=True)]
        print(f"| {name} | {' | '.join(f'{median:.1f}' for median in medians)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
