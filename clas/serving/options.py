"""What the server is told besides the model's settings: one frozen, validated object."""

import dataclasses
from typing import Any, Final

from ..engine.paddle_config import NO_FORKED_GPU, available_cores
from ..errors import SettingsError
from ..settings import check_fields, choice, number

_MIB: Final = 2**20
_A_DAY_S: Final = 86_400
MOST_PREDICTORS: Final = 4
"""More must be asked for: each takes the model's memory once more."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """All options of one server, checked; flags and the top-level keys of config.json have these names.

    Attributes:
        host: Address to listen at.
        port: TCP port to listen at.
        use_multiprocess: Run `workers` worker processes under a supervisor.
        workers: How many, with use_multiprocess only; 0 stands for 2 x cores + 1, as in PaddleHub.
        predictors: Model processes that share the requests, in each worker; 0 stands for one a core, at most
            MOST_PREDICTORS, in a single process on the CPU, and for 1 elsewhere. With more than one, there
            is one in addition that has all cores, for a request that is alone.
        gpu: Numbers of the GPUs, with commas in between; one worker for each. Empty: CUDA_VISIBLE_DEVICES.
        timeout_s: Longest time from a request's first byte to its answer; also how long one prediction may
            keep a worker busy before it counts as stuck.
        graceful_timeout_s: How long a server that stops waits for the requests in flight.
        batch_wait_ms: How long a request may wait for others to go through the model with it.
        max_queue_images: Images that are in the server at once, before new requests get 503.
        max_queue_bytes: Bytes of request bodies that are in the server at once, likewise.
        max_request_bytes: Bytes of one request body.
        max_requests: Requests after which a worker is replaced; 0 for never.
        token_file: File with a bearer token a line; empty for none.
        tls_cert_file: Certificate chain, PEM; empty for plain HTTP.
        tls_key_file: Its private key, PEM.
        log_format: "text" or "json".
        log_level: Least severe level that is logged.
        log_file: Where the log goes; empty for stderr.

    Raises:
        SettingsError: A value has the wrong type or is out of range, or two of them don't go together.
    """

    host: str = "127.0.0.1"
    port: int = number(8866, 1, 65535)
    use_multiprocess: bool = False
    workers: int = number(0, 0, 1024)
    predictors: int = number(0, 0, 1024)
    gpu: str = ""
    timeout_s: float = number(30.0, 0.1, _A_DAY_S)
    graceful_timeout_s: float = number(30.0, 0.1, _A_DAY_S)
    batch_wait_ms: float = number(0.0, 0, 10_000)
    max_queue_images: int = number(512, 1, 2**31 - 1)
    max_queue_bytes: int = number(512 * _MIB, 1, 2**40)
    max_request_bytes: int = number(128 * _MIB, 1, 2**40)
    max_requests: int = number(0, 0, 2**31 - 1)
    token_file: str = ""
    tls_cert_file: str = ""
    tls_key_file: str = ""
    log_format: str = choice("text", "json")
    log_level: str = choice("info", "debug", "warning", "error", "critical")
    log_file: str = ""

    def __post_init__(self) -> None:
        check_fields(self)
        for name, value in dataclasses.asdict(self).items():
            if isinstance(value, str) and not value.isprintable():
                raise SettingsError(f"{name} is {value!r}; it takes a text of printable characters")
        if not self.host:
            raise SettingsError("host is empty; it takes an address such as 127.0.0.1 or 0.0.0.0")
        if bool(self.tls_cert_file) != bool(self.tls_key_file):
            raise SettingsError("tls_cert_file and tls_key_file go together; one of them is missing")
        if self.max_request_bytes > self.max_queue_bytes:
            raise SettingsError(
                f"max_request_bytes is {self.max_request_bytes} and max_queue_bytes {self.max_queue_bytes}; "
                "max_queue_bytes must not be smaller"
            )

    def num_workers(self, devices: int) -> int:
        """How many workers there are to be under a supervisor; 0 for a single process without one.

        Args:
            devices: How many GPUs are named; 0 for the CPU.

        Raises:
            SettingsError: use_multiprocess is asked for together with the GPU.
        """
        if devices and self.use_multiprocess:
            raise SettingsError(
                f'{NO_FORKED_GPU}; --gpu 0,1 (in the file "gpu": "0,1"), or as many numbers in '
                "CUDA_VISIBLE_DEVICES, gives a worker for each GPU"
            )
        if devices:
            return devices if devices > 1 else 0
        if self.use_multiprocess:
            return self.workers or 2 * available_cores() + 1
        return 0

    def predictor_threads(self, cores: int, threads: int, *, is_single: bool) -> tuple[int, ...]:
        """CPU threads of each predictor of a process; see `Engine`.

        Args:
            cores: Those that the process is to use.
            threads: What is asked for, for each predictor; 0 if nothing is.
            is_single: There is this one process only, on the CPU.
        """
        count = self.predictors or (min(cores, MOST_PREDICTORS) if is_single and not threads else 1)
        if count == 1:
            return (0,)
        return (threads,) * count if threads else (cores, *[max(1, cores // count)] * count)


NAMES: Final = tuple(field.name for field in dataclasses.fields(ServerOptions))


def load_options(values: dict[str, Any]) -> ServerOptions:
    """Build the options from what was given; None stands for the default.

    Raises:
        SettingsError: As ServerOptions.
    """
    return ServerOptions(**{name: value for name, value in values.items() if value is not None})
