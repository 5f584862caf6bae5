"""The client: sends images to a clas_system service and prints what it answers. It is no test.

    python test_hubserving.py --server_url http://HOST:8866/predict/clas_system --image_file FILE_OR_FOLDER

Exit status: 0 if every image was answered, 1 if any wasn't, 2 for wrong arguments, 130 after Ctrl-C.
"""

import argparse
import importlib.util
import logging
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import cv2

from clas.console import INTERRUPTED, let_go_of_stdout, show_any_text
from clas.errors import ClasError, ImageError, SettingsError
from clas.flags import existing, number_from, positive
from clas.image_files import find_images, read_file
from clas.preprocess import Compose, create_transforms
from clas.protocol import OPERATIONS, files_body
from clas.settings import PREPROCESS_NAMES, Settings
from clas_client.answer import ServiceError
from clas_client.batches import in_batches, map_ahead, stacked_body
from clas_client.images import read_image
from clas_client.report import LOGGER, Report
from clas_client.sender import Answer, Sender
from clas_client.service import fetch_preprocessing

_PREPROCESSING = ("resize_short", "crop_size", "normalize", "to_chw", "reduced_decode")
_WIRE_HELP = (
    "what is sent: float32, the original's (default); uint8, pixels, a quarter of it; encoded, the files"
)
_PREPROCESS_HELP = (
    "who says what is done to images: these flags (default), or the standalone server, which is asked for it"
)
_BOOLS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def make_preprocess(args: argparse.Namespace) -> Compose:
    """What happens to each image [H, W, 3] (RGB, uint8) before it joins a batch. CHANGE IT HERE.

    Any callable that takes and returns an array will do, for example
    `Compose([ResizeShort(256), CenterCrop(224), my_function, ToCHW()])` with classes of clas/preprocess.py.
    With `--wire uint8`, normalize and to_chw are left to the server and False here; with `--wire encoded`,
    everything is, and this isn't called.
    """
    return create_transforms(
        args.resize_short,
        args.crop_size,
        normalize=args.normalize,
        to_chw=args.to_chw,
        settings=args.settings,
    )


class _Wire(NamedTuple):
    """How an image is read, and what a batch of them is sent as."""

    read: Callable[[Path], Any]
    make_body: Callable[[Sequence[Any]], bytes]


def _make_wire(args: argparse.Namespace, sender: Sender) -> _Wire:
    if args.wire == "encoded":
        return _Wire(read_file, files_body)
    if args.preprocess == "server":
        told = fetch_preprocessing(sender, args.server_url)
        sizes = {"resize_short": told.resize_short, "crop_size": told.crop_size}
        args = argparse.Namespace(**{**vars(args), **sizes, "settings": told})
    operations: list[str] = []
    if args.wire == "uint8":
        operations = [name for name in OPERATIONS if getattr(args, name)]
        args = argparse.Namespace(**{**vars(args), **dict.fromkeys(OPERATIONS, False)})
    preprocess = make_preprocess(args)
    size = max(args.settings.resize_size, default=args.resize_short)
    reduce_to = size if args.reduced_decode else None
    return _Wire(
        lambda path: preprocess(read_image(path, reduce_to)), partial(stacked_body, operations=operations)
    )


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    args = _parse_args(argv)
    _set_up_output()
    report = Report(_count(args.image_file) if sys.stderr.isatty() else None)
    try:
        sender = Sender(args.server_url, args.timeout, args.retries, args.token_file, args.concurrency)
        with closing(sender):
            _send_all(args, _make_wire(args, sender), sender, report)
        report.close()
        sys.stdout.flush()
    except (ServiceError, SettingsError) as exc:  # of --preprocess server; others belong to a batch
        LOGGER.error("%s", exc)
        return 1
    except KeyboardInterrupt:
        report.close()
        if args.concurrency > 1:  # Python would wait for what the threads are at
            sys.stdout.flush()
            os._exit(INTERRUPTED)
        return INTERRUPTED
    except OSError as exc:  # of our own output: all others are reported where they are met
        if not isinstance(exc, BrokenPipeError):  # there, whoever read it has seen enough
            LOGGER.error("the results can't be written: %s", exc.strerror)
        let_go_of_stdout()
        return 1
    return int(report.num_failed > 0 or report.num_answered == 0)


def _send_all(args: argparse.Namespace, wire: _Wire, sender: Sender, report: Report) -> None:
    """Read, preprocess and send, with --concurrency threads for either; report in the order of the files."""
    ahead = args.concurrency

    def send(batch: tuple[list[str], list[Any]]) -> tuple[list[str], Answer | ClasError]:
        names, images = batch
        try:
            return names, sender.predict(images, wire.make_body)
        except ClasError as exc:
            return names, exc

    with ExitStack() as stack:
        executors = [ThreadPoolExecutor(ahead) if ahead > 1 else None for _ in range(2)]
        for executor in filter(None, executors):
            stack.callback(executor.shutdown, wait=False, cancel_futures=True)
        images = map_ahead(
            executors[0], partial(_try_read, wire.read), _paths(args, report), ahead * args.batch_size
        )
        batches = in_batches(_readable(images, report), args.batch_size)
        for names, answer in map_ahead(executors[1], send, batches, ahead):
            if isinstance(answer, Answer):
                report.add(names, answer)
            else:
                report.fail(names, answer)


def _set_up_output() -> None:
    """Results to stdout, our log to stderr, and no chatter of the libraries in between."""
    show_any_text()
    if not LOGGER.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
        LOGGER.addHandler(handler)
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    # What OpenCV would say is in our own line; OpenCV 5 has the function in another place than 4.
    set_log_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel  # type: ignore[attr-defined]
    set_log_level(0)


def _paths(args: argparse.Namespace, report: Report) -> Iterator[tuple[str, Path]]:
    """Names and paths of the images."""
    root = args.image_file if args.image_file.is_dir() else args.image_file.parent
    for path in find_images(args.image_file, lambda exc: report.fail([str(exc.filename)], exc.strerror)):
        yield str(path.relative_to(root)), path


def _try_read(read: Callable[[Path], Any], named: tuple[str, Path]) -> tuple[str, Any]:
    name, path = named
    try:
        return name, read(path)
    except ImageError as exc:
        return name, exc


def _readable(images: Iterator[tuple[str, Any]], report: Report) -> Iterator[tuple[str, Any]]:
    """Report those that can't be read, and leave them out."""
    for name, image in images:
        if isinstance(image, ImageError):
            report.fail([name], image)
        else:
            yield name, image


def _count(path: Path) -> int:
    return sum(1 for _ in find_images(path, on_error=lambda _: None))


def _parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Send images to a clas_system service.")
    add = parser.add_argument
    add("--server_url", required=True, type=_url, help="http://HOST:PORT/predict/clas_system")
    add("--image_file", "--image_path", required=True, type=existing, help="an image, or a folder of images")
    add("--batch_size", type=positive, default=1, help="images per request (default: 1)")
    add("--resize_short", type=positive, default=256, help="short side after resizing (default: 256)")
    add("--crop_size", type=positive, default=224, help="side of the center crop (default: 224)")
    add("--normalize", type=_bool, default=True, help="by ImageNet's mean and std (default: True)")
    add("--to_chw", type=_bool, default=True, help="channels first (default: True)")
    add("--preprocess", choices=("client", "server"), default="client", help=_PREPROCESS_HELP)
    add("--wire", choices=("float32", "uint8", "encoded"), default="float32", help=_WIRE_HELP)
    add("--concurrency", type=positive, default=1, help="requests at once (default: 1)")
    add("--reduced_decode", type=_bool, default=False, help="decode large JPEGs at a part of their size")
    add("--timeout", type=_seconds, default=60.0, help="seconds to wait for an answer (default: 60)")
    add(
        "--retries",
        type=partial(number_from, 0),
        default=3,
        help="after a connection error, 429 or 503 (default: 3)",
    )
    add("--token_file", type=_token, help="file with the service's bearer token in its first line")
    args = parser.parse_args(argv)
    args.settings = Settings()
    if args.resize_short < args.crop_size:
        parser.error("--resize_short must not be smaller than --crop_size")
    own = [name for name in _PREPROCESSING if getattr(args, name) != parser.get_default(name)]
    if args.wire == "encoded" and own:
        parser.error(f"--wire encoded leaves all preprocessing to the server: not with --{own[0]}")
    sizes = [name for name in own if name in PREPROCESS_NAMES]
    if args.preprocess == "server" and sizes:
        parser.error(f"--preprocess server takes the sizes from the server: not with --{sizes[0]}")
    if args.reduced_decode and importlib.util.find_spec("PIL") is None:
        parser.error("--reduced_decode needs Pillow: pip install pillow")
    return args


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no address such as http://127.0.0.1:8866/predict/clas_system"
        )
    return text


def _token(path: str) -> str:
    try:
        token = Path(path).read_text(encoding="ascii").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise argparse.ArgumentTypeError(f"the token file {path!r} can't be read: {exc}") from exc
    if not token:
        raise argparse.ArgumentTypeError(f"the token file {path!r} has no token in its first line")
    return token


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return seconds


def _bool(text: str) -> bool:
    if text.lower() not in _BOOLS:
        raise argparse.ArgumentTypeError(f"{text!r} is neither True nor False")
    return _BOOLS[text.lower()]


if __name__ == "__main__":
    sys.exit(main())
