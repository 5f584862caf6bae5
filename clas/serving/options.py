"""Server options."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from ..engine.devices import NO_FORKED_GPU, available_cores
from ..errors import SettingsError
from ..fields import check_fields, choice, number, parsed, plain
from .web_options import read_networks, read_origins, read_root_path

_MIB: Final = 2**20
_A_DAY_S: Final = 86_400


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """All options of one server; flags and the top-level keys of config.json have these names.

    Each field's metadata holds its help, for the manual and the command line.

    Raises:
        SettingsError: A value has the wrong type or is out of range, or two of them don't go together.
    """

    model_repository: str = plain(
        "", "Folder whose folders are models, each served under its own name; empty: none", group="model"
    )
    max_loaded_models: int = number(
        0,
        0,
        65536,
        "Most models that each process has in memory; the one used least recently makes room for another "
        "that is asked for; 0: no limit",
        group="model",
    )
    model_control: bool = plain(
        False,
        "Load and unload models on request, at /v2/repository; takes admin_token_file",
        group="model",
    )
    watch: float = number(
        0.0,
        0,
        _A_DAY_S,
        "Seconds between looks at the models' folders; what has changed there is loaded again; 0: never",
        group="model",
    )
    host: str = plain(
        "127.0.0.1",
        "Address to listen at; 0.0.0.0: all of IPv4, as PaddleHub does; `::`: all of IPv6 and IPv4",
        group="listening",
    )
    port: int = number(
        8866, 0, 65535, "TCP port to listen at; 0: one that is free, which the log names", group="listening"
    )
    root_path: str = parsed(
        "",
        read_root_path,
        {"en": "a path such as `/clas`", "zh": "路径，例如 `/clas`"},
        "Path prefix under which a proxy serves this server, whether it strips the prefix or passes it on",
        group="listening",
    )
    forwarded_allow_ips: tuple[str, ...] = parsed(
        (),
        read_networks,
        {
            "en": "a list of addresses and networks, with commas in a flag",
            "zh": "地址和网段的列表，在命令行参数里用逗号隔开",
        },
        "Proxies whose header X-Forwarded-Prefix is believed: the prefix that they strip",
        group="listening",
    )
    use_multiprocess: bool = plain(
        False, "Run several workers under a supervisor; not on Windows", group="workers"
    )
    workers: int = number(
        0,
        0,
        1024,
        "Number of workers, with use_multiprocess, which the flag implies; 0: 2 x cores + 1",
        group="workers",
    )
    predictors: int = number(
        0,
        0,
        1024,
        "Images or batches that each worker computes at once, on the CPU; 0: one per thread. With Paddle, "
        "its model processes, which share the cores. With several, one more has all cores and takes "
        "requests that are alone, at the price of another copy of the model; not on one core, nor with "
        "cpu_num_threads. 0: one per core, at most 4 and what fits into half of the memory, in a single "
        "process; else 1",
        group="workers",
    )
    gpu: str = plain(
        "", "GPUs to use, such as 0 or 0,1; one worker per GPU; empty: CUDA_VISIBLE_DEVICES", group="workers"
    )
    timeout_s: float = number(
        30.0,
        0.1,
        _A_DAY_S,
        "Seconds that a request may take from its first byte, that its client may take to read the answer, "
        "and that a batch may take in the model",
        group="limits",
    )
    graceful_timeout_s: float = number(
        30.0, 0.1, _A_DAY_S, "Seconds that a stopping server waits for the requests in flight", group="limits"
    )
    keep_alive_s: float = number(
        75.0,
        0.1,
        _A_DAY_S,
        "Seconds that an idle connection stays open for its next request; longer than the load balancer in "
        "front keeps it (AWS: 60), which would else send a request into the closing connection",
        group="limits",
    )
    batch_wait_ms: float = number(
        0.0, 0, 10_000, "Milliseconds that a request may wait for others to join its batch", group="limits"
    )
    max_queue_images: int = number(
        512,
        1,
        2**31 - 1,
        "Images of a model in a worker at once; further requests are answered 503",
        group="limits",
    )
    max_queue_bytes: int = number(
        512 * _MIB,
        1,
        2**40,
        "Bytes of request bodies in a worker at once, at most half of them for one of several models; "
        "further requests are answered 503",
        group="limits",
    )
    max_request_bytes: int = number(
        128 * _MIB, 1, 2**40, "Bytes of one request body; larger ones get 413", group="limits"
    )
    max_requests: int = number(
        0, 0, 2**31 - 1, "Requests after which a worker is replaced; 0: never", group="workers"
    )
    token_file: str = plain(
        "", "File with a bearer token per line; empty: no authentication", group="security"
    )
    admin_token_file: str = plain(
        "", "File with a bearer token per line, for model_control alone", group="security"
    )
    tls_cert_file: str = plain("", "Certificate chain, PEM; empty: plain HTTP", group="security")
    tls_key_file: str = plain("", "Private key of the certificate, PEM", group="security")
    allow_origin: tuple[str, ...] = parsed(
        (),
        read_origins,
        {
            "en": "a list of origins such as `https://example.com`, with commas in a flag; or `*`",
            "zh": "来源的列表，例如 `https://example.com`，在命令行参数里用逗号隔开；或 `*`",
        },
        "Origins whose pages may send requests from a browser, and read the answers (CORS); *: all",
        group="security",
    )
    log_format: str = choice("text", "json", help_text="Format of the log", group="log")
    log_level: str = choice(
        "info",
        "debug",
        "warning",
        "error",
        "critical",
        help_text="Least severe level that is logged",
        group="log",
    )
    log_file: str = plain("", "File to log to; empty: stderr", group="log")

    def __post_init__(self) -> None:
        check_fields(self)
        for name, value in dataclasses.asdict(self).items():
            if isinstance(value, str) and not value.isprintable():
                raise SettingsError(f"{name} is {value!r}; it takes a string of printable characters")
        if not self.host:
            raise SettingsError("host is empty; it takes an address such as 127.0.0.1 or 0.0.0.0")
        if self.host.startswith("["):
            raise SettingsError(f"host is {self.host}; it takes an address of IPv6 without brackets")
        if bool(self.tls_cert_file) != bool(self.tls_key_file):
            raise SettingsError("tls_cert_file and tls_key_file go together; one of them is missing")
        if self.model_control and not self.admin_token_file:
            raise SettingsError("model_control takes admin_token_file, since its tokens alone may do so")
        if self.max_request_bytes > self.max_queue_bytes:
            raise SettingsError(
                f"max_request_bytes is {self.max_request_bytes} and max_queue_bytes {self.max_queue_bytes}; "
                "max_queue_bytes must not be smaller"
            )

    def num_workers(self, devices: int) -> int:
        """Return the number of workers under a supervisor; 0 for a single process without one.

        Args:
            devices: The number of GPUs; 0 for the CPU.

        Raises:
            SettingsError: use_multiprocess is on together with the GPU.
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


NAMES: Final = tuple(field.name for field in dataclasses.fields(ServerOptions))


def load_options(values: Mapping[str, Any]) -> ServerOptions:
    """Build the options from names and values; None stands for the default.

    Raises:
        SettingsError: As ServerOptions.
    """
    return ServerOptions(**{name: value for name, value in values.items() if value is not None})
