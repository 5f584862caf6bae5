"""`make bench`: the limit, the original, our two faces, the peers and the client, side by side.

    python benchmarks/bench.py [--rounds 3] [--seconds 4] [--only GROUP ...] [--output DIRECTORY]

Each round starts every server once and puts it under each of its loads, with the bare engines before and
after; medians over the rounds are told, and ratios within a round. Every answer is checked while it is being
timed. Needs wrk (apt-get install wrk). Writes results.json, table.md and the plots.
"""

import argparse
import json
import logging
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

from repository import MODEL, ROOT

# isort: split
import measure
import report
import sample_images
import scenarios
from bodies import LabeledImage, clear_images, make_bodies, write_bodies
from networks import NETWORKS, export, network_folder
from peers.peers import PEERS, prepare
from results import Key, Results, read
from servers import standalone

from clas.classifier import Classifier
from clas.engine.devices import available_cores
from clas.engine.paddle_config import check_bf16, import_paddle
from clas.errors import DeviceError
from clas.settings import Settings

GROUPS: Final = ("limit", "original", "hub", "standalone", "pinned", "networks", "peers", "client")
_JSON_MODEL: Final = ROOT / "build" / "bench" / "json_model"
_CLEAR: Final = 32  # images that the requests are made of: four for each of eight clients
_CLIENT_BATCH: Final = 8
_CLIENT_CONCURRENCY: Final = 4  # of the ready-made bodies; the client chooses for itself


def main() -> int:
    """Measure, and write what came of it."""
    args = _parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    if args.report:
        report.write(read(args.report), args.output)
        return 0
    logging.basicConfig(level=logging.WARNING)
    import_paddle()
    export = [sys.executable, "-W", "ignore", "tools/export_efficientnet_lite.py", "--format", "json"]
    subprocess.run([*export, "--output", str(_JSON_MODEL)], check=True)
    clear = _images(NETWORKS if "networks" in args.only else ())
    results = Results(_facts(args))
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        if "client" in args.only:
            sample_images.write(work / "images", args.images)
        for number in range(args.rounds):
            _say(f"round {number + 1} of {args.rounds}")
            for key, figures in _round(args, clear, work / str(number), work / "images"):
                results.add(number, key, figures)
                _say(report.line(key, figures))
                (args.output / "results.json").write_text(json.dumps(results.as_dict(), indent=1) + "\n")
    report.write(results, args.output)
    print((args.output / "table.md").read_text())
    return 0


def _parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--rounds", type=int, default=3, help="(default: 3)")
    add("--seconds", type=float, default=4, help="of each load (default: 4)")
    add("--images", "--pictures", type=int, default=2000, help="for the client (default: 2000)")
    add("--only", nargs="+", choices=GROUPS, default=GROUPS, help="these groups (default: all)")
    add("--report", type=Path, help="measure nothing: make table and plots of this results.json")
    add("--output", type=Path, default=ROOT / "build" / "bench", help="(default: build/bench)")
    args = parser.parse_args()
    if "peers" in args.only and not args.report:
        for peer in PEERS.values():
            prepare(peer)
    return args


def _round(
    args: argparse.Namespace, clear: Mapping[str, list[LabeledImage]], work: Path, folder: Path
) -> Iterator[tuple[Key, measure.Figures]]:
    """All measurements, once."""
    work.mkdir()
    yield from _limits(args, [*scenarios.LIMITS, *(scenarios.ONNX if "peers" in args.only else ())])
    if "networks" in args.only:
        yield from _limits(args, scenarios.NETWORK_LIMITS)
    for number, scenario in enumerate(scenarios.SCENARIOS):
        if scenario.group in args.only:
            yield from _loads(scenario, clear[scenario.network], work / str(number), args.seconds)
    if "client" in args.only:
        yield from _clients(clear[""], work / "client", folder, args.seconds)
    # Again: the machine may have been slower at the end than at the start.
    yield from _limits(args, [limit for limit in scenarios.LIMITS if limit.name in scenarios.REFERENCES])


def _limits(
    args: argparse.Namespace, limits: Sequence[scenarios.Limit]
) -> Iterator[tuple[Key, measure.Figures]]:
    for limit in limits:
        if "bf16" in limit.name and not _has_bf16():
            continue
        options = [*limit.options, "--model_dir", str(_folder(limit.model))]
        yield (
            Key(limit.group, "bare engine", limit.name),
            measure.bare(options, args.seconds, cores=limit.cores),
        )


def _folder(model: str) -> Path:
    """The folder of what `Limit.model` names."""
    if model == "onnx":
        return PEERS["onnxruntime"].build_dir / "model"
    return {"": MODEL, "json": _JSON_MODEL}.get(model) or network_folder(model)


def _loads(
    scenario: scenarios.Scenario, clear: list[LabeledImage], work: Path, seconds: float
) -> Iterator[tuple[Key, measure.Figures]]:
    if "bf16" in scenario.name and not _has_bf16():
        return
    peer = PEERS.get(scenario.peer)
    with scenario.start() as running:
        for case in scenario.cases:
            bodies = peer.make_bodies(case.form, clear) if peer else make_bodies(case.form, clear, case.batch)
            directory = work / str(case)
            write_bodies(directory, bodies)
            yield (
                Key(scenario.group, scenario.name, str(case)),
                measure.under_load(running, directory, bodies, case.clients, seconds, scenario.load_cores),
            )


def _clients(
    clear: list[LabeledImage], work: Path, folder: Path, seconds: float
) -> Iterator[tuple[Key, measure.Figures]]:
    """The client on a folder, and the same load with ready-made bodies of the same images."""
    with standalone() as running:
        for form in ("float32", "uint8", "encoded"):
            ready = make_bodies(form, clear, _CLIENT_BATCH)
            write_bodies(work / form, ready)
            size = f"{_CLIENT_CONCURRENCY} x {_CLIENT_BATCH}"
            yield (
                Key("client", "ready-made bodies", f"{form}, {size}"),
                measure.under_load(running, work / form, ready, _CLIENT_CONCURRENCY, seconds),
            )
            flags = ["--wire", form, "--batch_size", str(_CLIENT_BATCH)]
            yield (
                Key("client", "test_hubserving.py", f"{form}, {size}"),
                measure.client(running, folder, flags),
            )


def clear_default_images() -> list[LabeledImage]:
    """The images that requests are made of, whose class is beyond doubt by the default model."""
    return clear_images(_classifier(MODEL), _CLEAR)


def _images(networks: Sequence[str]) -> dict[str, list[LabeledImage]]:
    """The images of requests for each network, and for the default model, which has an empty name."""
    found = {"": clear_default_images()}
    for network in networks:
        export(network)
        # Which image it is hardly matters to random weights: one class always leads by far.
        found[network] = clear_images(_classifier(network_folder(network)), _CLEAR)
    return found


def _classifier(model: Path) -> Classifier:
    return Classifier(
        Settings(
            inference_model_dir=str(model),
            class_id_map_file="",
            overridden=frozenset({"inference_model_dir"}),
        )
    )


def _has_bf16() -> bool:
    try:
        check_bf16(Settings())
    except DeviceError:
        return False
    return True


def _facts(args: argparse.Namespace) -> dict[str, object]:
    """Where and how it was measured."""
    import paddle  # noqa: PLC0415  # imported by main

    return {
        "date": time.strftime("%Y-%m-%d"),
        "cores": available_cores(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "paddle": paddle.__version__,
        "openvino": version("openvino"),
        "rounds": args.rounds,
        "seconds": args.seconds,
        "images": args.images,
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
