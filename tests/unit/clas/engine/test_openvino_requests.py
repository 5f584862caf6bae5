import gc
import weakref
from pathlib import Path

import numpy as np
import openvino

from clas.engine.openvino_requests import InferRequests
from clas.model.files import find_model
from engines import settings_for


def requests_for(model: Path, count: int) -> InferRequests:
    read = openvino.Core().read_model(find_model(settings_for(model))[0].program)
    read.reshape([1, 3, 32, 32])
    return InferRequests(openvino.Core().compile_model(read, "CPU", {"NUM_STREAMS": count}), count)


def test_it_lends_as_many_as_are_idle_and_wanted(tiny_model: Path) -> None:
    requests = requests_for(tiny_model, 3)
    two = requests.take(2)
    assert len(two) == 2
    assert not requests.is_idle
    one = requests.take(5)
    assert len(one) == 1
    requests.give_back([*two, *one])
    assert requests.is_idle


def test_a_request_that_is_given_back_keeps_no_image(tiny_model: Path) -> None:
    requests = requests_for(tiny_model, 1)
    image = np.zeros((1, 3, 32, 32), np.float32)
    kept = weakref.ref(image)
    taken = requests.take(1)
    taken[0].set_input_tensor(openvino.Tensor(image, shared_memory=True))
    taken[0].start_async()
    taken[0].wait()
    del image
    requests.give_back(taken)
    del taken
    gc.collect()
    assert kept() is None


def test_a_request_that_still_runs_is_waited_for(tiny_model: Path) -> None:
    """As after a Ctrl-C between its start and the wait for it."""
    requests = requests_for(tiny_model, 1)
    for _ in range(50):
        taken = requests.take(1)
        taken[0].set_input_tensor(openvino.Tensor(np.zeros((1, 3, 32, 32), np.float32)))
        taken[0].start_async()
        requests.give_back(taken)
    assert requests.is_idle
