"""The flags of an evaluation, for both command lines."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ...errors import SettingsError
from ..flags import existing, file_ending_in
from ..parser import Parser
from .metrics_file import FORMATS

LABEL_FILE_HELP = (
    "List of the true classes, for accuracy and confusions: `path id` per line, names in place of ids, 0 and "
    "1 for each label, or CSV"
)
FOLDERS_HELP = (
    "Take as true class of an image the folder, below the given one, that it is in: an id or a name"
)
METRICS_HELP = "Write all figures of the evaluation to this .json or .csv file"


def add_evaluation_flags(parser: Parser) -> None:
    """Add --label_file, --labels_from_folders and --metrics."""
    group = parser.group("evaluation", "where the true classes are known")
    group.add_argument("--label_file", type=existing, metavar="FILE", help=LABEL_FILE_HELP)
    group.add_argument("--labels_from_folders", action="store_true", help=FOLDERS_HELP)
    group.add_argument("--metrics", type=file_ending_in(*FORMATS), metavar="FILE", help=METRICS_HELP)


def parse_with_evaluation(parser: Parser, argv: Sequence[str]) -> argparse.Namespace:
    """Parse a command line that has these flags; what is wrong with them ends the process, in one line."""
    args = parser.parse_args(argv)
    try:
        check_evaluation_flags(args.label_file, args.metrics, from_folders=args.labels_from_folders)
    except SettingsError as exc:
        parser.error(str(exc))
    return args


def check_evaluation_flags(label_file: Path | None, metrics: Path | None, *, from_folders: bool) -> None:
    """Refuse flags that exclude each other, or that need another.

    Raises:
        SettingsError: Names the flags.
    """
    if label_file and from_folders:
        raise SettingsError("--label_file and --labels_from_folders both say the true classes: remove one")
    if metrics and not (label_file or from_folders):
        raise SettingsError("--metrics needs the true classes: --label_file or --labels_from_folders")
