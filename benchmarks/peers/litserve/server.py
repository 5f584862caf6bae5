"""LitServe: uvicorn in processes of its own, a queue, and workers that decode, gather and predict."""

from typing import Annotated

import litserve
import orjson
from fastapi import Depends, Request
from peers import served
from starlette.responses import Response

from clas.image.model_input import Prepared


async def read_body(request: Request) -> bytes:
    """What `decode_request` takes, instead of LitServe's default, which is parsed JSON or a form."""
    return await request.body()


class Api(litserve.LitAPI):  # type: ignore[misc]  # LitServe is in another environment
    """The hooks that LitServe calls in each of its workers.

    Args:
        args: The command line.
    """

    def __init__(self, args: served.Arguments) -> None:
        super().__init__(max_batch_size=served.MAX_BATCH_SIZE, batch_timeout=args.wait_ms / 1000)
        self.args = args

    def setup(self, device: str) -> None:  # noqa: ARG002  # LitServe's signature
        """Load the model, once in each worker."""
        self.loaded = served.load_model(self.args.model_dir, self.args.threads)

    def decode_request(self, request: Annotated[bytes, Depends(read_body)]) -> Prepared:
        """Make one request what the model takes."""
        return served.prepare(self.loaded.input, request)

    def batch(self, inputs: list[Prepared]) -> list[Prepared]:
        """Nothing to do: `served.classify` joins the tensors."""
        return inputs

    def predict(self, x: list[Prepared]) -> list[served.Answer]:
        """Classify the requests that LitServe gathered."""
        return served.classify(self.loaded, x)

    def unbatch(self, output: list[served.Answer]) -> list[served.Answer]:
        """Nothing to do either."""
        return output

    def encode_response(self, output: served.Answer) -> Response:
        """A ready response, which FastAPI passes on; a dictionary it would encode slowly."""
        return Response(orjson.dumps(output), media_type="application/json")


def main() -> None:
    """Serve until a signal comes."""
    args = served.parse_arguments(__doc__, threads=1, wait_ms=2)
    server = litserve.LitServer(
        Api(args),
        accelerator="cpu",
        workers_per_device=args.predictors,
        timeout=served.TIMEOUT_S,
        disable_openapi_url=True,
    )
    server.run(
        host="127.0.0.1",
        port=args.port,
        num_api_servers=1,
        log_level="warning",
        access_log=False,
        generate_client_file=False,  # it would be written to the current directory
    )


if __name__ == "__main__":
    main()
