"""What is measured: each server, and the loads that it is put under."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Final

from bodies import Form
from networks import NETWORKS, network_folder
from peers.peers import PEERS
from servers import Running, hub, running_peer, standalone

ORIGINAL: Final[Mapping[str, object]] = {"enable_mkldnn": False, "ir_optim": False, "cpu_num_threads": 1}
"""What the original service runs the model with."""

REFERENCE: Final = "OpenVINO, fp32, 2 at once"
"""The limit that all others are held against."""
PINNED: Final = "OpenVINO, fp32, on core 0"
"""The limit for a server on one core."""

_FORMS: Final[tuple[Form, ...]] = ("float32", "uint8", "encoded")
_WORKERS: Final = ("--use_multiprocess", "--workers", "2")
_BF16: Final = ("--precision", "bf16")
_PADDLE: Final = ("--engine", "paddle")
_OPENVINO: Final[Mapping[str, object]] = {"engine": "openvino"}


@dataclasses.dataclass(frozen=True)
class Case:
    """One load.

    Attributes:
        form: Of the requests.
        clients: How many send them, one after the other.
        batch: Images of a request.
    """

    form: Form
    clients: int
    batch: int = 1

    def __str__(self) -> str:
        return f"{self.form}, {self.clients} x {self.batch}"


@dataclasses.dataclass(frozen=True)
class Scenario:
    """One server, and its loads.

    Attributes:
        group: Where it stands in the table.
        name: What it is.
        start: Runs it for the time of a block.
        cases: Its loads.
        load_cores: Where the load generator may run; empty for everywhere.
        peer: Whose server it is; empty for ours.
        network: The model, one of NETWORKS; empty for the default one.
    """

    group: str
    name: str
    start: Callable[[], AbstractContextManager[Running]]
    cases: Sequence[Case]
    load_cores: tuple[int, ...] = ()
    peer: str = ""
    network: str = ""


@dataclasses.dataclass(frozen=True)
class Limit:
    """A bare engine, one way.

    Attributes:
        name: What it is.
        options: Of bare.py.
        cores: Where it may run, as taskset has it; empty for everywhere.
        model: What it reads: the default model as it is, as Paddle 3's inference.json, as ONNX, or a network.
        group: Where it stands in the table.
    """

    name: str
    options: Sequence[str]
    cores: str = ""
    model: str = ""
    group: str = "limit"


def limit_of(precision: str, *, alone: bool = False) -> str:
    """The name of OpenVINO's limit: two images side by side, or one that is alone."""
    return f"OpenVINO, {precision}, {'alone' if alone else '2 at once'}"


_TWO_AT_ONCE: Final = ("--threads", "2", "--at_once", "2", "--batch", "1")
_ALONE: Final = ("--threads", "2", "--batch", "1")
_BATCH: Final = ("--threads", "2", "--batch", "8")


def _limits() -> list[Limit]:
    limits: list[Limit] = []
    for precision in ("fp32", "bf16"):
        same = ("--precision", precision)
        limits += [
            Limit(limit_of(precision), (*_TWO_AT_ONCE, *same)),
            Limit(limit_of(precision, alone=True), (*_ALONE, *same)),
            Limit(f"OpenVINO, {precision}, batch 8", (*_BATCH, *same)),
            Limit(f"Paddle, {precision}, alone", (*_PADDLE, *_ALONE, *same)),
            Limit(f"Paddle, {precision}, batch 8", (*_PADDLE, *_BATCH, *same)),
        ]
    limits.append(Limit("Paddle, fp32, batch 8, inference.json", (*_PADDLE, *_BATCH), model="json"))
    limits.append(Limit(PINNED, ("--batch", "1"), cores="0"))
    return limits


_ONNX: Final = ("--engine", "onnxruntime")
ONNX: Final = (
    Limit("ONNX Runtime, fp32, 2 at once", (*_ONNX, *_TWO_AT_ONCE), model="onnx"),
    Limit("ONNX Runtime, fp32, alone", (*_ONNX, *_ALONE), model="onnx"),
    Limit("ONNX Runtime, fp32, batch 8", (*_ONNX, *_BATCH), model="onnx"),
)
"""With the model that was converted for the peer."""


def _grid(forms: Sequence[Form]) -> list[Case]:
    """1, 8 and 32 clients with one image each; 1 and 2 with eight."""
    sizes = ((1, 1), (8, 1), (32, 1), (1, 8), (2, 8))
    return [Case(form, clients, batch) for form in forms for clients, batch in sizes]


LIMITS: Final = _limits()
REFERENCES: Final = (
    *(limit_of(precision, alone=alone) for precision in ("fp32", "bf16") for alone in (False, True)),
    PINNED,
)
"""Measured at the end of a round, too."""
NETWORK_LIMITS: Final = tuple(
    Limit(f"{network}: {name}", options, model=network, group="networks")
    for network in NETWORKS
    for name, options in (
        ("OpenVINO, fp32", _TWO_AT_ONCE),
        ("OpenVINO, bf16", (*_TWO_AT_ONCE, *_BF16)),
        ("Paddle, fp32", (*_PADDLE, *_BATCH)),
        ("Paddle, bf16", (*_PADDLE, *_BATCH, *_BF16)),
    )
)


_PEER_CLIENTS: Final = (1, 8, 32)
_PEER_FORMS: Final[tuple[Form, ...]] = ("file", "float32")
_PEER_CASES: Final = [Case(form, clients) for form in _PEER_FORMS for clients in _PEER_CLIENTS]


def _hub_rows(name: str, init_args: Mapping[str, object]) -> list[Scenario]:
    """PaddleHub's face with an engine."""
    one, two = partial(hub, init_args), partial(hub, init_args, workers=2)
    return [
        Scenario("hub", f"PaddleHub, {name}", one, [Case("float32", 1), *(Case(f, 1, 8) for f in _FORMS)]),
        Scenario("hub", f"PaddleHub, {name}, 2 workers", two, [Case(form, 2, 8) for form in _FORMS]),
    ]


def _network_rows(network: str) -> list[Scenario]:
    """The standalone server on one of NETWORKS: alone and under load."""
    ways = {"fp32": (), "bf16": _BF16, "Paddle": _PADDLE}
    return [
        Scenario(
            *("networks", f"{network}: standalone, {way}"),
            partial(standalone, options, model=network_folder(network)),
            [Case("uint8", 1), Case("uint8", 8)],
            network=network,
        )
        for way, options in ways.items()
    ]


SCENARIOS: Final = (
    Scenario("original", "PaddleHub as the original", partial(hub, ORIGINAL), [Case("float32", 1, 8)]),
    *_hub_rows("Paddle", {}),
    *_hub_rows("OpenVINO", _OPENVINO),
    *_hub_rows("OpenVINO, bf16", {**_OPENVINO, "precision": "bf16"}),
    Scenario("standalone", "standalone", standalone, _grid(_FORMS)),
    Scenario(
        *("standalone", "standalone, bf16", partial(standalone, _BF16)),
        [Case("uint8", 1), *(Case(form, clients) for form in _FORMS for clients in (8, 32))],
    ),
    Scenario(
        *("standalone", "standalone, 2 workers", partial(standalone, _WORKERS)),
        [Case(form, clients) for form in _FORMS for clients in (1, 8, 32)],
    ),
    Scenario(
        *("standalone", "standalone, Paddle", partial(standalone, _PADDLE)),
        [Case("uint8", 1), *(Case(form, clients) for form in _FORMS for clients in (8, 32))],
    ),
    Scenario(
        *("standalone", "standalone, Paddle, bf16", partial(standalone, (*_PADDLE, *_BF16))),
        [Case(form, 8) for form in _FORMS],
    ),
    Scenario(
        *("pinned", "standalone on core 0, load on core 1", partial(standalone, (), (0,))),
        [Case(form, 8) for form in _FORMS],
        load_cores=(1,),
    ),
    *(row for network in NETWORKS for row in _network_rows(network)),
    *(
        Scenario("peers", name, partial(standalone, options), _PEER_CASES)
        for name, options in (("clas_system", ()), ("clas_system, bf16", _BF16))
    ),
    *(
        Scenario(
            *("peers", f"{peer.name} {peer.version}", partial(running_peer, peer)),
            [Case(form, clients) for form in peer.forms for clients in _PEER_CLIENTS],
            peer=peer.name,
        )
        for peer in PEERS.values()
    ),
)
