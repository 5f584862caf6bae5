"""A run: find images, read and send them, and pass the answers on, in the order of the files."""

import dataclasses
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final

from clas.commandline.appended_file import OutputError
from clas.commandline.evaluation.errors import EvaluationError
from clas.commandline.terminal import INTERRUPTED, flush_stdout
from clas.errors import ClasError, ImageError, SettingsError
from clas.image.files import find_images
from clas.image.sources import ImageSource, from_file

from .batches import in_batches, map_ahead
from .collector import Collector
from .concurrency import MOST, choose_concurrency
from .console_report import ConsoleReport
from .image_count import ImageCount
from .log import LOGGER
from .reply import ServiceError, UnreachableError, WrongAddressError
from .sender import Answer, Sender
from .server_info import ask_server
from .settings import ClientSettings
from .sink import Pending
from .wire import MakePreprocess, Wire, make_wire

_PATIENCE_S: Final = 0.5  # to know how many images there are


def run(settings: ClientSettings, make_preprocess: MakePreprocess) -> int:
    """Send all images and return the exit status.

    Args:
        settings: The client settings.
        make_preprocess: Makes the callable that preprocesses each image.
    """
    connections = settings.concurrency or MOST
    sender = Sender(settings.server_url, settings.timeout, settings.retries, settings.token, connections)
    try:
        with closing(sender):
            count = ImageCount(settings.image_file, is_shown=sys.stderr.isatty())
            console = ConsoleReport(
                count, shows_results=not settings.quiet, shows_failures=settings.shows_failures
            )
            server = ask_server(sender, settings.server_url)
            wire = make_wire(settings, server, make_preprocess)
            collector = Collector(settings, console, server)
            concurrency = choose_concurrency(settings, server.predictors)
            settings = dataclasses.replace(settings, concurrency=concurrency)
            return _send_and_close(settings, wire, sender, collector, count)
    except (ServiceError, SettingsError) as exc:  # at the start; later, they belong to a batch
        LOGGER.error("%s", exc)
        return 1
    except (OutputError, EvaluationError) as exc:  # at the start, before anything was sent
        LOGGER.error("%s", exc)
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED


def _send_and_close(
    settings: ClientSettings, wire: Wire, sender: Sender, collector: Collector, count: ImageCount
) -> int:
    """Send all images, finish the files, and return the exit status."""
    cut_short = 0
    try:
        try:
            _send_all(settings, wire, sender, collector)
        except KeyboardInterrupt:
            cut_short = INTERRUPTED
        except WrongAddressError as exc:
            LOGGER.error("%s", exc)
            collector.abandon()
            return _left(1, settings)
        except UnreachableError:  # its reason is that of its batch
            rest = "; --resume sends the remaining images" if settings.output else ""
            LOGGER.error("the run ends here, as the service can't be reached%s", rest)
            cut_short = 1
        collector.close(is_whole=not cut_short)
        sys.stdout.flush()
        if cut_short == INTERRUPTED:
            LOGGER.warning("%s", _where_it_stopped(settings, collector.console.num_done, count))
    except (OutputError, EvaluationError) as exc:  # names the file
        LOGGER.error("%s", exc)
        cut_short = 1
    except OSError as exc:  # of stdout: all others are handled where they occur
        if not isinstance(exc, BrokenPipeError):  # whose reader wants no more
            LOGGER.error("the results can't be written: %s", exc.strerror)
        flush_stdout()
        cut_short = 1
    return _left(cut_short, settings) or collector.console.status


def _left(cut_short: int, settings: ClientSettings) -> int:
    """Return the status of a run that was cut short, or leave with it."""
    if cut_short and settings.concurrency > 1:
        flush_stdout()  # which os._exit doesn't
        os._exit(cut_short)  # the interpreter would wait for the threads' requests
    return cut_short


def _where_it_stopped(settings: ClientSettings, done: int, count: ImageCount) -> str:
    count.wait(_PATIENCE_S)
    images = max(count.found, done)
    rest = "; go on with --resume" if settings.output else ""
    return f"stopped at {done} of {'' if count.is_complete else 'at least '}{images}{rest}"


def _send_all(settings: ClientSettings, wire: Wire, sender: Sender, collector: Collector) -> None:
    """Read, preprocess and send, with `concurrency` threads each; collect in the order of the files.

    An image that can't be read is collected at once, before those that wait for their batch to fill.

    Raises:
        UnreachableError: There is no connection to the service; its batch is collected, the rest isn't sent.
        WrongAddressError: There is no service; nothing is collected.
        OutputError: The results can't be written.
    """
    ahead = settings.concurrency

    def read(source: ImageSource) -> tuple[Pending, Any]:
        pending = collector.prepare(source)
        try:
            return pending, wire.read(source)
        except ImageError as exc:
            return pending, exc

    def send(batch: tuple[list[Pending], list[Any]]) -> tuple[list[Pending], Answer | ClasError]:
        pending, images = batch
        try:
            return pending, sender.predict(images, wire.make_body)
        except ClasError as exc:
            return pending, exc

    with ExitStack() as stack:
        executors = [ThreadPoolExecutor(ahead) if ahead > 1 else None for _ in range(2)]
        for executor in filter(None, executors):
            stack.callback(executor.shutdown, wait=False, cancel_futures=True)
        images = map_ahead(executors[0], read, _sources(settings, collector), ahead * settings.batch_size)
        batches = in_batches(_readable(images, collector), settings.batch_size)
        for pending, answer in map_ahead(executors[1], send, batches, ahead):
            collector.add(pending, answer)
            if isinstance(answer, UnreachableError):
                raise answer


def _sources(settings: ClientSettings, collector: Collector) -> Iterator[ImageSource]:
    """Find the images to send."""
    root = settings.root

    def name_of(path: Path) -> str:
        return str(path.relative_to(root)) if path != root else str(path)

    def fail(error: OSError) -> None:
        pending = Pending(name_of(Path(str(error.filename))))
        collector.add([pending], ImageError(f"it can't be read: {error.strerror}"))

    for path in find_images(settings.image_file, fail, collector.console.files.skip):
        name = name_of(path)
        if not collector.is_done(name):
            yield from_file(path, name)


def _readable(images: Iterator[tuple[Pending, Any]], collector: Collector) -> Iterator[tuple[Pending, Any]]:
    """Collect the images that can't be read, and yield the others."""
    for pending, image in images:
        if isinstance(image, ImageError):
            collector.add([pending], image)
        else:
            yield pending, image
