"""The client's settings: one field per flag, frozen once the command line is parsed."""

import dataclasses
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from clas.commandline.evaluation.flags import (
    FOLDERS_HELP,
    LABEL_FILE_HELP,
    METRICS_HELP,
    check_evaluation_flags,
)
from clas.errors import SettingsError
from clas.fields import check_fields, choice, number, plain
from clas.protocol import PREDICT_PATH, PREDICTIONS_PATH
from clas.settings import PREPROCESS_NAMES, Settings

MAX_TIMEOUT_S: Final = 1_000_000  # sockets count milliseconds in 32 bits
MIN_TIMEOUT_S: Final = 0.001

_LARGEST: Final = 2**31 - 1
_PREPROCESSING: Final = ("resize_short", "crop_size", "normalize", "to_chw", "reduced_decode")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClientSettings:
    """All settings of one run; the flags have the names of the fields.

    The help of each flag is in its field's metadata, from which the manual and the command line have it. The
    last two fields aren't flags: the token in `token_file`, and the preprocessing settings without a flag,
    which are the server's with `preprocess="server"`.

    Raises:
        SettingsError: A value has the wrong type or is out of range.
    """

    server_url: str = dataclasses.field(
        metadata={"help": "Address of the service: http://HOST:PORT/predict/clas_system"}
    )
    image_file: Path = dataclasses.field(metadata={"help": "Image, or folder of images"})
    batch_size: int = number(1, 1, _LARGEST, "Images per request")
    resize_short: int = number(256, 1, _LARGEST, "Short side after resizing, in pixels")
    crop_size: int = number(224, 1, _LARGEST, "Side of the square center crop, in pixels")
    normalize: bool = plain(True, "Normalize by ImageNet's mean and std")
    to_chw: bool = plain(True, "Move the channels to the front")
    preprocess: str = choice(
        "client",
        "server",
        help_text="Whose preprocessing settings apply: these flags, or those of the standalone server",
    )
    wire: str = choice(
        "float32",
        "uint8",
        "encoded",
        help_text="Form of the images in a request: float32 numbers, uint8 pixels, or encoded files",
    )
    concurrency: int = number(
        0,
        0,
        _LARGEST,
        "Requests at once; 0: as many as a standalone server computes at once, and 2 more, at most 16; with "
        "PaddleHub's 1, whose times would count the waiting for each other",
    )
    reduced_decode: bool = plain(
        False, "Decode a JPEG at 1/2, 1/4 or 1/8 of its size while that is at least twice resize_short"
    )
    timeout: float = number(
        60.0,
        MIN_TIMEOUT_S,
        MAX_TIMEOUT_S,
        "Seconds for connecting, for sending a request, and for its answer, each as a whole",
    )
    retries: int = number(
        3, 0, _LARGEST, "How often a request is repeated after a connection error, HTTP 429 or 503"
    )
    top_k: int | None = dataclasses.field(
        default=None,
        metadata={"range": (1, _LARGEST), "help": "Classes per image, in place of the service's setting"},
    )
    output: Path | None = dataclasses.field(
        default=None,
        metadata={"help": "Also write the results to this .csv or .jsonl file, batch by batch"},
    )
    resume: bool = plain(False, "Resume the file of --output: send only images without a result in it")
    quiet: bool = plain(
        False,
        "Print no lines of single images; failed ones have theirs, unless --output or --report says why",
    )
    report: Path | None = dataclasses.field(
        default=None, metadata={"help": "Also write an .html page of all images and their classes"}
    )
    label_file: Path | None = dataclasses.field(default=None, metadata={"help": LABEL_FILE_HELP})
    labels_from_folders: bool = plain(False, FOLDERS_HELP)
    metrics: Path | None = dataclasses.field(default=None, metadata={"help": METRICS_HELP})
    token_file: Path | None = dataclasses.field(
        default=None, metadata={"help": "File with the service's bearer token in its first line"}
    )
    token: str | None = dataclasses.field(default=None, repr=False)
    settings: Settings = dataclasses.field(default=Settings())

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def shows_failures(self) -> bool:
        """Whether an image without a result has a line in the log."""
        return not self.quiet or not (self.output or self.report)

    @property
    def root(self) -> Path:
        """The folder from which images are named."""
        return self.image_file if self.image_file.is_dir() else self.image_file.parent


def check_flags(settings: ClientSettings) -> None:
    """Refuse flags that exclude each other; for settings as they were parsed.

    Raises:
        SettingsError: Names the flags.
    """
    changed = [name for name in _PREPROCESSING if getattr(settings, name) != getattr(ClientSettings, name)]
    sizes = [name for name in changed if name in PREPROCESS_NAMES]
    if settings.resize_short < settings.crop_size:
        raise SettingsError("--resize_short must not be smaller than --crop_size")
    if settings.wire == "encoded" and changed:
        raise SettingsError(
            f"--wire encoded leaves all preprocessing to the server: remove it, or --{changed[0]}"
        )
    if settings.preprocess == "server" and sizes:
        raise SettingsError(
            f"--preprocess server takes the sizes from the server: remove it, or --{sizes[0]}"
        )
    if settings.resume and not settings.output:
        raise SettingsError("--resume needs --output, the file to resume")
    check_evaluation_flags(settings.label_file, settings.metrics, from_folders=settings.labels_from_folders)
    check_address(settings.server_url)


def check_address(url: str) -> None:
    """Refuse an address that can't be that of predictions: a server's root, or one with a slash behind it.

    Raises:
        SettingsError: Names the address that is meant.
    """
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    if not path:
        path, fault = PREDICT_PATH, "is a server, not its address for predictions"
    elif path != parts.path and path.rpartition("/")[0].endswith(PREDICTIONS_PATH):
        fault = "ends in a slash"
    else:
        return
    raise SettingsError(f"--server_url {url} {fault}: use {urlunsplit(parts._replace(path=path))}")
