import dataclasses
import re
from typing import Any

import pytest

from clas.engine.devices import NO_FORKED_GPU, available_cores
from clas.errors import SettingsError
from clas.serving.options import NAMES, ServerOptions, load_options


def test_what_is_not_given_has_its_default() -> None:
    assert load_options({"port": None, "workers": 3}) == ServerOptions(workers=3)
    assert load_options({}).host == "127.0.0.1"
    assert load_options({}).keep_alive_s > 60  # after which AWS' load balancers close an idle connection


def test_every_option_has_a_help_text() -> None:
    texts = {field.name: field.metadata["help"] for field in dataclasses.fields(ServerOptions)}
    assert tuple(texts) == NAMES
    assert all(len(text) > 10 for text in texts.values())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"port": 65536}, "port is 65536; it takes a number from 0 to 65535"),
        ({"port": "8866"}, "port is '8866'; it takes a whole number"),
        ({"port": True}, "port is True; it takes a whole number"),
        ({"workers": -1}, "workers is -1; it takes a number from 0 to 1024"),
        ({"use_multiprocess": 1}, "use_multiprocess is 1; it takes true or false"),
        ({"timeout_s": 0}, "timeout_s is 0; it takes a number from 0.1 to 86400"),
        ({"graceful_timeout_s": 100_000}, "graceful_timeout_s is 100000; it takes a number"),
        ({"timeout_s": float("nan")}, "timeout_s is nan; it takes a number"),
        ({"batch_wait_ms": 10_001}, "batch_wait_ms is 10001; it takes a number from 0 to 10000"),
        ({"batch_wait_ms": "5"}, "batch_wait_ms is '5'; it takes a number"),
        ({"max_queue_images": 0}, "max_queue_images is 0; it takes a number from 1"),
        ({"max_request_bytes": 0}, "max_request_bytes is 0; it takes a number from 1"),
        ({"max_requests": 1.5}, "max_requests is 1.5; it takes a whole number"),
        ({"log_format": "xml"}, "log_format is 'xml'; it takes text or json"),
        ({"log_level": "loud"}, "log_level is 'loud'; it takes info or debug or warning or error or"),
        ({"token_file": 5}, "token_file is 5; it takes a string"),
        ({"host": ""}, "host is empty; it takes an address such as 127.0.0.1 or 0.0.0.0"),
        ({"host": "[::1]"}, "host is [::1]; it takes an address of IPv6 without brackets"),
        ({"keep_alive_s": 0}, "keep_alive_s is 0; it takes a number from 0.1 to 86400"),
        ({"tls_cert_file": "a"}, "tls_cert_file and tls_key_file go together; one of them is missing"),
        ({"tls_key_file": "a"}, "tls_cert_file and tls_key_file go together; one of them is missing"),
        ({"model_control": True}, "model_control takes admin_token_file, since its tokens alone may do so"),
        ({"model_control": 1}, "model_control is 1; it takes true or false"),
        ({"max_loaded_models": -1}, "max_loaded_models is -1; it takes a number from 0 to 65536"),
        ({"watch": -1}, "watch is -1; it takes a number from 0 to 86400"),
        ({"watch": True}, "watch is True; it takes a number"),
        ({"model_repository": 5}, "model_repository is 5; it takes a string"),
        (
            {"max_request_bytes": 11, "max_queue_bytes": 10},
            "max_request_bytes is 11 and max_queue_bytes 10; max_queue_bytes must not be smaller",
        ),
    ],
)
def test_an_invalid_option_is_refused_by_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        load_options(values)


@pytest.mark.parametrize(
    ("values", "devices", "num_workers"),
    [
        ({}, 0, 0),
        ({"workers": 4}, 0, 0),
        ({"use_multiprocess": True, "workers": 4}, 0, 4),
        ({"use_multiprocess": True}, 0, 2 * available_cores() + 1),
        ({}, 1, 0),
        ({}, 3, 3),
        ({"workers": 5}, 2, 2),
    ],
)
def test_the_number_of_workers(values: dict[str, Any], devices: int, num_workers: int) -> None:
    assert load_options(values).num_workers(devices) == num_workers


def test_gpu_and_use_multiprocess_together_are_refused_in_the_modules_words() -> None:
    with pytest.raises(SettingsError) as caught:
        ServerOptions(use_multiprocess=True).num_workers(1)
    assert str(caught.value).startswith(NO_FORKED_GPU)
    assert '--gpu 0,1 (in the file "gpu": "0,1")' in str(caught.value)
