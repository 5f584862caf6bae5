"""What is measured: each server, and the loads that it is put under."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Final

from bodies import Form
from peers.peers import PEERS
from servers import Running, hub, running_peer, standalone

ORIGINAL: Final[Mapping[str, object]] = {"enable_mkldnn": False, "ir_optim": False, "cpu_num_threads": 1}
"""What the original service runs the model with."""

REFERENCE: Final = "fp32, batch 8, 2 threads"
"""The limit that all others are held against."""
LONE: Final = "fp32, batch 1, 2 threads"
"""The limit for a client that is alone."""
PINNED: Final = "fp32, batch 8, on core 0 alone"
"""The limit for a server on one core."""
REFERENCES: Final = (REFERENCE, LONE, PINNED)

_FORMS: Final[tuple[Form, ...]] = ("float32", "uint8", "encoded")
_WORKERS: Final = ("--use_multiprocess", "--workers", "2")
_BF16: Final = ("--precision", "bf16")


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
    """

    group: str
    name: str
    start: Callable[[], AbstractContextManager[Running]]
    cases: Sequence[Case]
    load_cores: tuple[int, ...] = ()
    peer: str = ""


@dataclasses.dataclass(frozen=True)
class Limit:
    """The bare predictor, one way.

    Attributes:
        name: What it is.
        options: Of bare.py.
        cores: Where it may run, as taskset has it; empty for everywhere.
        peer: Whose Python runs it; empty for ours.
        is_json: With the model in Paddle 3's own format.
    """

    name: str
    options: Sequence[str]
    cores: str = ""
    peer: str = ""
    is_json: bool = False


def _limits() -> list[Limit]:
    limits = [
        Limit(
            f"{precision}, batch {batch}, {threads} thread{'s' * (threads > 1)}",
            ("--precision", precision, "--batch", str(batch), "--threads", str(threads)),
        )
        for precision in ("fp32", "bf16")
        for batch in (1, 8)
        for threads in (1, 2)
    ]
    json_options = ("--batch", "8", "--threads", "2")
    limits.append(Limit("fp32, batch 8, 2 threads, inference.json", json_options, is_json=True))
    limits.append(Limit(PINNED, ("--batch", "8"), cores="0"))
    return limits


def _grid(forms: Sequence[Form]) -> list[Case]:
    """1, 8 and 32 clients with one image each; 1 and 2 with eight."""
    sizes = ((1, 1), (8, 1), (32, 1), (1, 8), (2, 8))
    return [Case(form, clients, batch) for form in forms for clients, batch in sizes]


LIMITS: Final = _limits()
ONNX: Final = tuple(
    Limit(
        f"ONNX Runtime, batch {batch}, {threads} thread{'s' * (threads > 1)}",
        ("--engine", "onnxruntime", "--batch", str(batch), "--threads", str(threads)),
        peer="onnxruntime",
    )
    for batch in (1, 8)
    for threads in (1, 2)
)

SCENARIOS: Final = (
    Scenario("original", "PaddleHub as the original", partial(hub, ORIGINAL), [Case("float32", 1, 8)]),
    Scenario(
        *("hub", "PaddleHub, 1 process", hub),
        [Case("float32", 1), *(Case(form, 1, 8) for form in _FORMS)],
    ),
    Scenario(
        *("hub", "PaddleHub, 2 workers", partial(hub, workers=2)),
        [Case("float32", 8), *(Case(form, 2, 8) for form in _FORMS)],
    ),
    Scenario("standalone", "standalone", standalone, _grid(_FORMS)),
    Scenario("standalone", "standalone, 2 workers", partial(standalone, _WORKERS), _grid(_FORMS)),
    Scenario(
        *("standalone", "standalone, bf16", partial(standalone, _BF16)),
        [Case(form, clients) for form in _FORMS for clients in (8, 32)],
    ),
    Scenario(
        *("pinned", "standalone on core 0, load on core 1", partial(standalone, (), (0,))),
        [Case(form, 8) for form in _FORMS],
        load_cores=(1,),
    ),
    Scenario(
        *("peers", "clas_system", standalone),
        [Case(form, clients) for form in ("file", "float32") for clients in (1, 8, 32)],
    ),
    *(
        Scenario(
            *("peers", f"{peer.name} {peer.version}", partial(running_peer, peer)),
            [Case(form, clients) for form in peer.forms for clients in (1, 8, 32)],
            peer=peer.name,
        )
        for peer in PEERS.values()
    ),
)
