"""The flags of `clas-batch`."""

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Final

from ....commandline.evaluation.flags import add_evaluation_flags, parse_with_evaluation
from ....commandline.flags import SETTING_FLAGS, add_gpu_flag, add_setting_flags, integer_from, positive
from ....commandline.parser import Parser
from .rows import FORMATS

_PART_ROWS: Final = 5000
_INPUT_HELP: Final = (
    "Images, folders, globs, .parquet, .tar and lists of paths (.txt), local or of an object store (s3://...)"
)


def parser() -> Parser:
    """Return the command line."""
    made = Parser(
        prog="clas-batch",
        description="Classify millions of images on a Ray cluster; started again, it goes on.",
        allow_abbrev=False,
    )
    made.add_argument("--input", nargs="+", required=True, metavar="PATH", help=_INPUT_HELP)
    made.add_argument("--output", required=True, metavar="DIR", help="Folder of the results, likewise")
    add = made.group("output").add_argument
    add("--format", choices=tuple(FORMATS), default="parquet", help="Format of the parts (default: parquet)")
    add(
        "--part_rows",
        type=positive,
        default=_PART_ROWS,
        metavar="VALUE",
        help=f"Images of a part, which a killed actor computes again (default: {_PART_ROWS})",
    )
    add("--column", default="", metavar="NAME", help="Column of .parquet with the images, or their paths")
    add("--verbose", action="store_true", help="Log what is loaded, and how it runs")
    add = made.group("cluster").add_argument
    add("--num_cpus", type=positive, default=1, metavar="VALUE", help="Cores of each actor (default: 1)")
    add("--min_actors", type=positive, default=1, metavar="VALUE", help="The fewest actors (default: 1)")
    help_text = "The most actors; 0: as many as the cluster has room for (default: 0)"
    add("--max_actors", type=partial(integer_from, 0), default=0, metavar="VALUE", help=help_text)
    add_evaluation_flags(made)
    add_setting_flags(made, SETTING_FLAGS)
    add_gpu_flag(made, "Predict on GPUs, one for each actor")
    return made


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the flags; what is wrong with them ends the process, in one line."""
    made = parser()
    args = parse_with_evaluation(made, argv)
    if 0 < args.max_actors < args.min_actors:
        made.error(f"--max_actors {args.max_actors} is below --min_actors {args.min_actors}")
    return args
