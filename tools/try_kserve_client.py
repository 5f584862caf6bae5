"""Asks a running standalone server by KServe's own client, and holds the answers against each other.

    python tools/try_kserve_client.py http://127.0.0.1:8866

`make kserve` runs it in an environment of its own, since KServe needs other versions than PaddleHub does.
"""

import argparse
import asyncio
import sys
from typing import Any, Final

import httpx
import numpy as np
import numpy.typing as npt
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

_MODEL: Final = "clas_system"
_IMAGES: Final = 2


def main() -> int:
    """Try the client; an answer that isn't as it should be ends it with a traceback."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url", help="the server's address, such as http://127.0.0.1:8866")
    url = parser.parse_args().url
    [image] = httpx.get(f"{url}/v2/models/{_MODEL}").raise_for_status().json()["inputs"]
    asyncio.run(try_client(url, image["name"], [_IMAGES, *image["shape"][1:]]))
    return 0


async def try_client(url: str, name: str, shape: list[int]) -> None:
    """Ask for everything that the client can ask for.

    Args:
        url: The server's address.
        name: That of the model's input.
        shape: That of a batch.
    """
    async with InferenceRESTClient(RESTConfig(protocol="v2", timeout=60)) as client:
        check("live", await client.is_server_live(url), True)
        check("ready", await client.is_server_ready(url), True)
        check("model ready", await client.is_model_ready(url, _MODEL), True)
        check("another model ready", await client.is_model_ready(url, "another"), False)
        tensor = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        binary, plain = [
            await infer(client, url, as_input(name, tensor, is_binary=is_binary))
            for is_binary in (True, False)
        ]
        check("id and parameters", (binary.id, binary.parameters), ("42", {"top_k": 1}))
        scores = binary.outputs[0].as_numpy()
        check("scores in binary data and in JSON", np.array_equal(scores, plain.outputs[0].as_numpy()), True)
        check("best classes", binary.outputs[1].as_numpy().ravel().tolist(), scores.argmax(axis=1).tolist())
        try:
            await infer(client, url, as_input("another", tensor, is_binary=True))
        except httpx.HTTPStatusError as exc:
            check("a wrong input", exc.response.status_code, httpx.codes.BAD_REQUEST)
        else:
            raise AssertionError("a wrong input was answered")


def as_input(name: str, tensor: npt.NDArray[np.float32], *, is_binary: bool) -> Any:  # noqa: ANN401  # untyped
    """Return a tensor as the client sends it."""
    found = InferInput(name, list(tensor.shape), "FP32")
    found.set_data_from_numpy(tensor, binary_data=is_binary)
    return found


async def infer(client: Any, url: str, image: Any) -> Any:  # noqa: ANN401  # untyped
    """Ask for scores and best classes."""
    outputs = [RequestedOutput(name, {"binary_data": name == "scores"}) for name in ("scores", "class_ids")]
    request = InferRequest(_MODEL, [image], request_id="42", parameters={"top_k": 1}, request_outputs=outputs)
    return await client.infer(url, request, model_name=_MODEL)


def check(what: str, came: object, wanted: object) -> None:
    """Compare, and say so."""
    if came != wanted:
        raise AssertionError(f"{what}: {came!r} came, {wanted!r} was wanted")
    print(f"{what}: right")


if __name__ == "__main__":
    sys.exit(main())
