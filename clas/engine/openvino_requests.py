"""The infer requests of a compiled OpenVINO model."""

import contextlib
import queue
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import openvino


class InferRequests:
    """A compiled model, and those of its infer requests that are idle.

    Args:
        compiled: The model.
        count: How many requests it has.
    """

    def __init__(self, compiled: "openvino.CompiledModel", count: int) -> None:
        self.count = count
        self._idle: queue.SimpleQueue[openvino.InferRequest] = queue.SimpleQueue()
        requests = [compiled.create_infer_request() for _ in range(count)]
        self._blank = requests[0].get_input_tensor()
        self.give_back(requests)

    @property
    def is_idle(self) -> bool:
        """Whether all requests are idle."""
        return self._idle.qsize() == self.count

    def take(self, most: int) -> list["openvino.InferRequest"]:
        """Wait for one request, and take up to `most` of those that are idle."""
        taken = [self._idle.get()]
        with contextlib.suppress(queue.Empty):
            while len(taken) < most:
                taken.append(self._idle.get_nowait())
        return taken

    def give_back(self, requests: Sequence["openvino.InferRequest"]) -> None:
        """Return requests that were taken; they let go of their images."""
        for request in requests:
            with contextlib.suppress(RuntimeError):  # has been raised already, if it was waited for
                request.wait()  # a Ctrl-C may have come before that
            request.set_input_tensor(self._blank)
            self._idle.put(request)
