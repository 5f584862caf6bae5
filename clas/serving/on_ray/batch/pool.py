"""Has Ray Data compute parts with a pool of actors."""

import json
import logging
import os
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import ray
import ray.data
from ray.exceptions import RayError

from ....commandline.terminal import LOGGER
from ....errors import ClasError, DeviceError, PredictionError, StartupError
from .inputs import Piece
from .job import Job, Plan
from .worker import PartWorker

_NOT_NEWS: Final = (
    "_internal.progress",  # there is no progress bar
    "_internal.execution.operators.map_operator",  # an actor has cores and a GPU
    "_internal.execution.streaming_executor_state",  # a part has failed: so has the job, which says why
    "exceptions",
)
_ERROR: Final = re.compile(r"^[\w.]*\berrors\.\w+: (.+)$", re.MULTILINE)


class Pool(NamedTuple):
    """The actors that a job has.

    Attributes:
        min_actors: The fewest.
        max_actors: The most; 0 for as many as the cluster has room for.
        num_cpus: Cores that Ray reserves for each.
        use_gpu: Whether each has a GPU.
        shows_logs: Whether the driver shows what they log, and what Ray does; else it is in Ray's logs only.
    """

    min_actors: int
    max_actors: int
    num_cpus: int
    use_gpu: bool
    shows_logs: bool = False


class PartDone(NamedTuple):
    """What became of a part's images; see `Totals`."""

    images: int
    reasons: dict[str, int]


def compute(job: Job, plan: Plan, pool: Pool) -> Iterator[PartDone]:
    """Compute the parts that are missing, and yield what became of each.

    Ray places the actors and starts them again, gives the parts of those that were lost to others, and adds
    actors while there is room.

    Raises:
        ClasError: A part can't be computed.
    """
    _connect(shows_logs=pool.shows_logs)
    _check_room(pool)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    _quieten(pool)
    rows = [{"number": number, **_row(plan.pieces[number])} for number in plan.missing]
    parts = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
        PartWorker,  # type: ignore[arg-type]
        fn_constructor_args=(job,),
        compute=ray.data.ActorPoolStrategy(
            min_size=pool.min_actors,
            max_size=pool.max_actors or None,
            max_tasks_in_flight_per_actor=2,
        ),
        num_cpus=pool.num_cpus,
        num_gpus=int(pool.use_gpu),
    )
    try:
        for row in parts.iter_rows():
            yield PartDone(row["images"], json.loads(row["reasons"]))
    except RayError as exc:
        raise _own(exc) from exc


def _quieten(pool: Pool) -> None:
    """Keep Ray from saying what the command says itself, or has meant to do."""
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    if not pool.shows_logs:
        for name in _NOT_NEWS:
            logging.getLogger(f"ray.data.{name}").setLevel(logging.CRITICAL)


def _connect(*, shows_logs: bool) -> None:
    """Connect to the cluster that RAY_ADDRESS names; without it, start Ray on this machine, for this run.

    Raises:
        StartupError: The cluster doesn't answer, or Ray doesn't start.
    """
    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
    address = os.environ.get("RAY_ADDRESS")
    try:
        ray.init(
            address=address or "local",
            logging_level=logging.WARNING,
            log_to_driver=shows_logs,
            include_dashboard=False if not address else None,
        )
    except Exception as exc:  # Ray raises this class itself
        where = f"the cluster at RAY_ADDRESS {address!r} doesn't answer" if address else "Ray doesn't start"
        raise StartupError(f"{where}: {exc}") from exc


def _check_room(pool: Pool) -> None:
    """Say so if no node has room for an actor: Ray waits for one, which a cluster that scales may start.

    Raises:
        DeviceError: There is no cluster, so none will come.
    """
    wanted = {"CPU": pool.num_cpus, **({"GPU": 1} if pool.use_gpu else {})}
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    if any(all(node.get(name, 0) >= count for name, count in wanted.items()) for node in nodes):
        return
    lacking = f"no node has {' and '.join(f'{count} {name}' for name, count in wanted.items())} for an actor"
    if "RAY_ADDRESS" not in os.environ:
        raise DeviceError(f"{lacking}; this machine is the only one without RAY_ADDRESS")
    LOGGER.warning("%s: the job waits for one", lacking)


def _row(piece: Piece) -> dict[str, Any]:
    fields = piece._asdict()
    del fields["names"]
    return fields


def _own(exc: Exception) -> ClasError:
    """Return the error of an actor, which Ray has made part of a text."""
    found = _ERROR.search(str(exc))
    reason = found[1] if found else str(exc).strip().rpartition("\n")[2]
    return PredictionError(f"Ray ends the job: {reason}")
