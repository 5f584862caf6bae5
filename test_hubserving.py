"""The client: sends images to a clas_system service and prints what it answers. It is no test.

    python test_hubserving.py --server_url http://HOST:8866/predict/clas_system --image_file FILE_OR_FOLDER

Exit status: 0 if every image was answered, 1 if any wasn't, 2 for wrong arguments or files that can't be read
or written, 130 after Ctrl-C.
"""

import argparse
import importlib.util
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2

from clas.allocator import keep_freed_memory
from clas.commandline.flags import existing, positive
from clas.commandline.terminal import INTERRUPTED, let_go_of_stdout, show_any_text
from clas.errors import ClasError, ImageError, SettingsError
from clas.image.files import find_images, read_file
from clas.image.transforms import Compose, create_transforms, reduced_size
from clas.protocol import OPERATIONS, files_body
from clas.settings import PREPROCESS_NAMES, Settings
from clas_client.accuracy import TruthError
from clas_client.answer import ServiceError
from clas_client.appended_file import OutputError
from clas_client.batches import in_batches, map_ahead, stacked_body
from clas_client.flag_types import boolean, file_ending_in, not_negative, seconds, token, url
from clas_client.images import read_image
from clas_client.outcome import Picture
from clas_client.record import Record
from clas_client.report import LOGGER, Report
from clas_client.rows import FORMATS
from clas_client.run_settings import ask_for_model
from clas_client.sender import Answer, Sender
from clas_client.service import fetch_preprocessing

_KEPT_BLOCK = 32 * 2**20  # bytes: the body of 32 images in float32
_KEPT = 128 * 2**20
_PREPROCESSING = ("resize_short", "crop_size", "normalize", "to_chw", "reduced_decode")
_WIRE_HELP = (
    "what is sent: float32, the original's (default); uint8, pixels, a quarter of it; encoded, the files"
)
_PREPROCESS_HELP = (
    "who says what is done to images: these flags (default), or the standalone server, which is asked for it"
)
_OUTPUT_HELP = "also write the results to this .csv or .jsonl file, batch by batch"
_RESUME_HELP = "go on with the file of --output: send only pictures that have no result in it"
_REPORT_HELP = "also write an .html page of all pictures and their classes"
_LABEL_FILE_HELP = "list of true classes, `path id` a line: tells the accuracy"


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
        return _Wire(read_file, partial(files_body, top_k=args.top_k))
    if args.preprocess == "server":
        told = fetch_preprocessing(sender, args.server_url)
        sizes = {"resize_short": told.resize_short, "crop_size": told.crop_size}
        args = argparse.Namespace(**{**vars(args), **sizes, "settings": told})
    operations: list[str] = []
    if args.wire == "uint8":
        operations = [name for name in OPERATIONS if getattr(args, name)]
        args = argparse.Namespace(**{**vars(args), **dict.fromkeys(OPERATIONS, False)})
    preprocess = make_preprocess(args)
    size = reduced_size(args.resize_short, args.settings)
    reduce_to = size if args.reduced_decode else None
    return _Wire(
        lambda path: preprocess(read_image(path, reduce_to)),
        partial(stacked_body, operations=operations, top_k=args.top_k),
    )


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    args = _parse_args(argv)
    _set_up_output()
    keep_freed_memory(_KEPT_BLOCK, _KEPT)  # tensors and bodies of one size come again and again
    sender = Sender(args.server_url, args.timeout, args.retries, args.token_file, args.concurrency)
    try:
        with closing(sender):
            return _run(args, sender)
    except (ServiceError, SettingsError) as exc:  # of --preprocess server; others belong to a batch
        LOGGER.error("%s", exc)
        return 1
    except (OutputError, TruthError) as exc:  # of the start, when nothing was sent
        LOGGER.error("%s", exc)
        return 2
    except KeyboardInterrupt:  # likewise
        return INTERRUPTED


def _run(args: argparse.Namespace, sender: Sender) -> int:
    report = Report(_count(args.image_file) if sys.stderr.isatty() else None)
    wire = _make_wire(args, sender)
    record = Record(args, report, partial(ask_for_model, sender, args.server_url))
    try:
        try:
            _send_all(args, wire, sender, record)
        except KeyboardInterrupt:
            record.close()
            if args.concurrency > 1:  # Python would wait for what the threads are at
                sys.stdout.flush()
                os._exit(INTERRUPTED)
            return INTERRUPTED
        record.close()
        sys.stdout.flush()
    except OutputError as exc:  # names the file
        LOGGER.error("%s", exc)
        return 1
    except OSError as exc:  # of our own output: all others are reported where they are met
        if not isinstance(exc, BrokenPipeError):  # there, whoever read it has seen enough
            LOGGER.error("the results can't be written: %s", exc.strerror)
        let_go_of_stdout()
        return 1
    return int(report.num_failed > 0 or report.num_answered + report.num_skipped == 0)


def _send_all(args: argparse.Namespace, wire: _Wire, sender: Sender, record: Record) -> None:
    """Read, preprocess and send, with --concurrency threads for either; record in the order of the files.

    A file that can't be read is recorded as soon as that is known, before those that wait for their batch.
    """
    ahead = args.concurrency

    def read(picture: Picture) -> tuple[Picture, Any]:
        picture = record.prepare(picture)
        try:
            return picture, wire.read(picture.path)
        except ImageError as exc:
            return picture, exc

    def send(batch: tuple[list[Picture], list[Any]]) -> tuple[list[Picture], Answer | ClasError]:
        pictures, images = batch
        try:
            return pictures, sender.predict(images, wire.make_body)
        except ClasError as exc:
            return pictures, exc

    with ExitStack() as stack:
        executors = [ThreadPoolExecutor(ahead) if ahead > 1 else None for _ in range(2)]
        for executor in filter(None, executors):
            stack.callback(executor.shutdown, wait=False, cancel_futures=True)
        images = map_ahead(executors[0], read, _pictures(args, record), ahead * args.batch_size)
        batches = in_batches(_readable(images, record), args.batch_size)
        for pictures, answer in map_ahead(executors[1], send, batches, ahead):
            record.add(pictures, answer)


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


def _pictures(args: argparse.Namespace, record: Record) -> Iterator[Picture]:
    """The images that are to be sent."""
    root = args.image_file if args.image_file.is_dir() else args.image_file.parent
    report = record.report
    for path in find_images(args.image_file, lambda exc: report.fail([str(exc.filename)], exc.strerror)):
        picture = Picture(str(path.relative_to(root)), path)
        if not record.is_done(picture):
            yield picture


def _readable(images: Iterator[tuple[Picture, Any]], record: Record) -> Iterator[tuple[Picture, Any]]:
    """Record those that can't be read, and leave them out."""
    for picture, image in images:
        if isinstance(image, ImageError):
            record.add([picture], image)
        else:
            yield picture, image


def _count(path: Path) -> int:
    return sum(1 for _ in find_images(path, on_error=lambda _: None))


def _parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Send images to a clas_system service.")
    add = parser.add_argument
    add("--server_url", required=True, type=url, help="http://HOST:PORT/predict/clas_system")
    add("--image_file", "--image_path", required=True, type=existing, help="an image, or a folder of images")
    add("--batch_size", type=positive, default=1, help="images per request (default: 1)")
    add("--resize_short", type=positive, default=256, help="short side after resizing (default: 256)")
    add("--crop_size", type=positive, default=224, help="side of the center crop (default: 224)")
    add("--normalize", type=boolean, default=True, help="by ImageNet's mean and std (default: True)")
    add("--to_chw", type=boolean, default=True, help="channels first (default: True)")
    add("--preprocess", choices=("client", "server"), default="client", help=_PREPROCESS_HELP)
    add("--wire", choices=("float32", "uint8", "encoded"), default="float32", help=_WIRE_HELP)
    add("--concurrency", type=positive, default=1, help="requests at once (default: 1)")
    add("--reduced_decode", type=boolean, default=False, help="decode large JPEGs at a part of their size")
    add("--timeout", type=seconds, default=60.0, help="seconds to wait for an answer (default: 60)")
    add("--retries", type=not_negative, default=3, help="after a connection error, 429 or 503 (default: 3)")
    add("--top_k", type=positive, help="classes per image (default: as the service is set)")
    add("--output", type=file_ending_in(*FORMATS), help=_OUTPUT_HELP)
    add("--resume", action="store_true", help=_RESUME_HELP)
    add("--report", type=file_ending_in(".html"), help=_REPORT_HELP)
    add("--label_file", type=existing, help=_LABEL_FILE_HELP)
    add("--token_file", type=token, help="file with the service's bearer token in its first line")
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
    if args.resume and not args.output:
        parser.error("--resume goes on with the file of --output: it takes both")
    if args.reduced_decode and importlib.util.find_spec("PIL") is None:
        parser.error("--reduced_decode needs Pillow: pip install pillow")
    return args


if __name__ == "__main__":
    sys.exit(main())
