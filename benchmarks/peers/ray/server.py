"""Ray Serve: an HTTP proxy process, and replicas that decode, gather and predict.

The Ray that this starts is private: its files are in a directory of its own, it joins no other, and it is
shut down with this process.
"""

import asyncio
import signal
import tempfile
import threading

import orjson
import ray
from peers import served
from ray import serve
from ray.serve.config import HTTPOptions
from starlette.requests import Request
from starlette.responses import Response

from clas.engine.devices import available_cores
from clas.image.model_input import Prepared

_OBJECT_STORE_BYTES = 200 * 2**20
"""Ray takes 30 % of the memory by default; bodies and answers don't even pass through it."""


# Ray's bookkeeping of CPUs must not refuse anything here, so a replica reserves none. max_ongoing_requests, 5
# by default, would never let a batch of more than 5 come together.
@serve.deployment(ray_actor_options={"num_cpus": 0}, max_ongoing_requests=4 * served.MAX_BATCH_SIZE)
class Replica:
    """One predictor.

    Args:
        args: The command line.
    """

    def __init__(self, args: served.Arguments) -> None:
        self.model = served.load_model(args.model_dir, args.threads)
        self.classify.set_batch_wait_timeout_s(  # type: ignore[attr-defined,unused-ignore]
            args.wait_ms / 1000
        )

    @serve.batch(max_batch_size=served.MAX_BATCH_SIZE)  # type: ignore[untyped-decorator,unused-ignore]
    async def classify(self, requests: list[Prepared]) -> list[served.Answer]:
        """Classify the requests that Ray gathered; in a thread, so that others are received meanwhile."""
        return await asyncio.to_thread(served.classify, self.model, requests)

    async def __call__(self, request: Request) -> Response:
        """Answer one request; decoding is done in a thread, where OpenCV lets others run."""
        body = await request.body()
        prepared = await asyncio.to_thread(served.prepare, self.model.input, body)
        return Response(orjson.dumps(await self.classify(prepared)), media_type="application/json")


def main() -> None:
    """Serve until a signal comes."""
    args = served.parse_arguments(__doc__, threads=1, wait_ms=1)
    with tempfile.TemporaryDirectory(prefix="ray-") as directory:  # short: Unix sockets are in there
        ray.init(
            num_cpus=available_cores(),
            include_dashboard=False,
            object_store_memory=_OBJECT_STORE_BYTES,
            _temp_dir=directory,
            _node_ip_address="127.0.0.1",
        )
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        serve.start(
            http_options=HTTPOptions(host="127.0.0.1", port=args.port, request_timeout_s=served.TIMEOUT_S),
            logging_config={"enable_access_log": False, "log_level": "WARNING"},
        )
        replica = Replica.options(  # type: ignore[attr-defined,unused-ignore]
            num_replicas=args.predictors,
            logging_config={"enable_access_log": False, "log_level": "WARNING"},
        )
        serve.run(replica.bind(args), route_prefix="/predict")
        stop.wait()
        serve.shutdown()  # type: ignore[no-untyped-call,unused-ignore]
        ray.shutdown()  # type: ignore[no-untyped-call,unused-ignore]


if __name__ == "__main__":
    main()
