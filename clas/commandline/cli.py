"""`python -m clas` and `hub run clas_system`: classify files and folders without a server."""

import argparse
import importlib
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

from ..classifier import Classifier
from ..errors import ClasError
from ..image.files import find_images
from ..image.sources import ImageSource, from_own_file
from ..result_settings import FEATURE_FORMS
from ..settings import SETTING_NAMES, load_settings
from .batches import BATCH_SIZE, classify_in_batches
from .cells import shown_name
from .csv_rows import columns_for
from .evaluation.flags import add_evaluation_flags, parse_with_evaluation
from .flags import add_gpu_flag, add_setting_flags, existing, file_ending_in, given_settings, positive
from .formats import FORMATS, Format, format_for
from .kept_results import KeptResults
from .parser import Parser
from .report.page_head import facts_of
from .tally import Tally
from .terminal import INTERRUPTED, LOGGER, flush_stdout, show_any_text, show_log

COMMANDS: Final = {
    "tune": "Measure all engines on this machine, and name the best settings",
    "check": "Check that the service works on this machine, and how fast",
    "convert": "Make inference.onnx of Paddle's formats",
    "encrypt": "Encrypt the files of a model",
    "rename_module": "Copy this package as a PaddleHub module of another name",
}
"""Command -> what it does; each is a module of this folder. The folder of that name is ./tune."""

_REPORT_HELP: Final = "Also write an .html page of all images and their classes"
_TOP_K_HELP: Final = "Results per image (default: topk of params.py)"
_OWN_FLAGS: Final = ("use_gpu", "topk")  # settings whose flags have a form of their own
_SETTING_FLAGS: Final = tuple(name for name in SETTING_NAMES if name not in _OWN_FLAGS)


def main(argv: list[str] | None = None) -> int:
    """Run the command line of `python -m clas` and return its exit status."""
    show_any_text()
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] in COMMANDS:
        command = importlib.import_module(f".{argv[0]}", __package__)
        status: int = command.main(argv[1:])
        return status
    args = parse_with_evaluation(_parser(), argv)
    show_log(logging.INFO if args.verbose else logging.WARNING, "%(levelname)s: %(message)s")
    warnings.filterwarnings("ignore", "No ccache found")  # paddle's, which compiles nothing here
    return _run(partial(_classify, args)).status


def _parser() -> Parser:
    parser = Parser(
        prog="python -m clas",
        usage="%(prog)s PATH [PATH ...] [FLAG ...]",
        description="Classify images without a server.",
        epilog="\n".join(
            [
                "commands, each with a --help of its own:",
                *(f"  {name:15}{does}" for name, does in COMMANDS.items()),
            ]
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("paths", nargs="+", type=existing, metavar="PATH", help="Image, or folder of images")
    add = parser.group("output").add_argument
    add("--top_k", "--topk", type=positive, metavar="VALUE", help=_TOP_K_HELP)
    add("--format", choices=tuple(FORMATS), default="text", help="Format of the results (default: text)")
    add("--report", type=file_ending_in(".html"), metavar="FILE", help=_REPORT_HELP)
    add("--verbose", action="store_true", help="Log what is loaded, and how it runs")
    add_evaluation_flags(parser)
    add_setting_flags(parser, _SETTING_FLAGS)
    add_gpu_flag(parser, "Predict on the GPU")
    return parser


def hub_run(classifier: Classifier, argv: Sequence[str]) -> str:
    """Run the command line of `hub run clas_system`.

    Args:
        classifier: The model.
        argv: The flags: `--input_path`, `--top_k` and `--batch_size`.

    Returns:
        How many images have a result, in a line that PaddleHub prints.

    Raises:
        SystemExit: A flag is invalid, or an image has no result.
    """
    show_any_text()
    args = _hub_parser().parse_args(argv)
    tally = _run(
        partial(_print_results, classifier, args.input_path, FORMATS["text"], args.batch_size, args.top_k)
    )
    if tally.status:
        sys.exit(tally.status)
    return f"images classified: {tally.answered}"


def _hub_parser() -> Parser:
    parser = Parser(
        prog="hub run clas_system", description="Classify images without a server.", allow_abbrev=False
    )
    add, what = parser.add_argument, "Images, or folders of images"
    add("--input_path", nargs="+", required=True, type=existing, metavar="PATH", help=what)
    add("--top_k", "--topk", type=positive, metavar="VALUE", help=_TOP_K_HELP)
    help_text = f"Images at a time (default: {BATCH_SIZE})"
    add("--batch_size", type=positive, default=BATCH_SIZE, metavar="VALUE", help=help_text)
    return parser


def _classify(args: argparse.Namespace, tally: Tally) -> None:
    given = given_settings(args, (*_SETTING_FLAGS, "use_gpu"))
    with closing(KeptResults(args)) as kept:
        classifier = Classifier(load_settings(given))
        model = classifier.describe()
        kept.begin(model["classes"], facts_of(model))
        tally.listeners.append(kept.add)
        form = kept.judged(args.format, format_for(args.format, columns_for(model)))
        if args.format == "csv" and model["main_indicator"] in FEATURE_FORMS:
            LOGGER.warning("CSV has no column for features: use --format json")
        _print_results(classifier, args.paths, form, classifier.max_batch_size, args.top_k, tally)


def _print_results(
    classifier: Classifier,
    paths: Sequence[Path],
    form: Format,
    batch_size: int,
    top_k: int | None,
    tally: Tally,
) -> None:
    """Classify files and folders; print each batch's results when they are known, and log what failed."""
    if form.header:
        sys.stdout.write(form.header + "\n")
    sources = _find(paths, tally, classifier.max_image_pixels)
    for batch in classify_in_batches(classifier, sources, batch_size, top_k):
        for name, prediction in batch:
            for line in form.lines(name, prediction):
                sys.stdout.write(line + "\n")
            for listen in tally.listeners:
                listen(name, prediction)
            if "error" in prediction:
                _fail(tally, name, prediction["error"])
            else:
                tally.answered += 1
        sys.stdout.flush()
    _say_totals(paths, tally)


def _say_totals(paths: Sequence[Path], tally: Tally) -> None:
    """Say on stderr what became of the files of folders, unless each has a result."""
    if not tally.answered and not tally.failed:
        LOGGER.error("there is no image in %s", ", ".join(shown_name(str(path)) for path in paths))
    if tally.failed + tally.files.num_skipped and any(path.is_dir() for path in paths):
        sys.stderr.write(f"{tally.files.line(tally.answered, tally.failed)}\n")


def _run(work: Callable[[Tally], None]) -> Tally:
    """Do the work and return its tally; an error that ends it early is logged in one line."""
    tally = Tally()
    try:
        work(tally)
        sys.stdout.flush()
    except ClasError as exc:
        LOGGER.critical("%s: %s", type(exc).__name__, exc)
        tally.cut_short = 1
    except KeyboardInterrupt:
        tally.cut_short = INTERRUPTED
        flush_stdout()
    except OSError as exc:  # of stdout: all others are handled where they occur
        if not isinstance(exc, BrokenPipeError):  # whose reader wants no more
            LOGGER.critical("the results can't be written: %s", exc.strerror)
        tally.cut_short = 1
        flush_stdout()
    return tally


def _find(paths: Sequence[Path], tally: Tally, max_pixels: int) -> Iterator[ImageSource]:
    def fail(error: OSError) -> None:
        _fail(tally, str(error.filename), error.strerror)

    for path in paths:
        for file in find_images(path, fail, tally.files.skip):
            yield from_own_file(file, max_pixels=max_pixels)


def _fail(tally: Tally, name: str, reason: object) -> None:
    tally.failed += 1
    LOGGER.error("%s: %s", shown_name(name), reason)
