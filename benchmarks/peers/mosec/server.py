"""mosec: HTTP and batching in Rust, preprocessing and prediction in processes of their own.

Preprocessing is a stage of its own with a process per core, so that the next requests are decoded while the
model computes.
"""

import os
import tempfile
from pathlib import Path

import orjson
from mosec import Server, Worker
from peers import served

from clas.engine.devices import available_cores
from clas.image.model_input import Prepared

_THREADS = 1
_WAIT_MS = 1


class Prepare(Worker):  # type: ignore[misc]  # mosec is in another environment
    """First stage: from the body to a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.input = served.load_input()

    def deserialize(self, data: bytearray) -> bytearray:
        """The body as it is; the default would take it for JSON."""
        return data

    def forward(self, data: bytearray) -> Prepared:
        """Make one request what the model takes; what is returned goes to the next stage pickled."""
        return served.prepare(self.input, data)


class Predict(Worker):  # type: ignore[misc]
    """Second stage: from a batch of tensors to answers."""

    def __init__(self) -> None:
        super().__init__()
        args = arguments()
        self.model = served.load_model(args.model_dir, args.threads)

    def forward(self, data: list[Prepared]) -> list[served.Answer]:
        """Classify the requests that mosec gathered."""
        return served.classify(self.model, data)

    def serialize(self, data: served.Answer) -> bytes:
        """Much faster than the default, which is the standard library's json with indentation."""
        return orjson.dumps(data)


def arguments() -> served.Arguments:
    """The command line; mosec's worker processes have the same."""
    return served.parse_arguments(__doc__, threads=_THREADS, wait_ms=_WAIT_MS)


def serve(predict: type[Predict]) -> None:
    """Serve until a signal comes.

    Args:
        predict: The second stage.
    """
    args = arguments()
    with tempfile.TemporaryDirectory(prefix="mosec-") as directory:
        # mosec reads the command line as well, of which it knows --port only; the rest goes by the
        # environment.
        os.environ.update(
            MOSEC_ADDRESS="127.0.0.1",
            MOSEC_PATH=str(Path(directory) / "sockets"),
            MOSEC_LOG_LEVEL="warning",  # info logs requests
            MOSEC_TIMEOUT=str(1000 * served.TIMEOUT_S),  # 3 s by default
            MOSEC_MAX_REQUEST_SIZE=str(served.MAX_BODY_BYTES),  # 10 MiB by default
        )
        server = Server()
        server.append_worker(Prepare, num=available_cores(), timeout=served.TIMEOUT_S)
        server.append_worker(
            predict,
            num=args.predictors,
            max_batch_size=served.MAX_BATCH_SIZE,
            max_wait_time=max(1, round(args.wait_ms)),  # 0 stands for mosec's default, 10 ms
            timeout=served.TIMEOUT_S,
        )
        server.run()


if __name__ == "__main__":
    serve(Predict)
