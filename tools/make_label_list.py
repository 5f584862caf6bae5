"""Makes the label list of ImageNet-1k from the tables in timm's wheel.

    pip download --no-deps timm
    python tools/make_label_list.py timm-1.0.31-py3-none-any.whl [--output clas/imagenet1k_label_list.txt]

Each of the 1000 lines is `<class id> <lemmas>`, as in `57 garter snake, grass snake`. The lemmas come from
WordNet and aren't unique: 134, the bird, and 517, the machine, are both `crane`.
"""

import argparse
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

TABLES: Final = "timm/data/_info"
SYNSETS_FILE: Final = "imagenet_synsets.txt"
"""In TABLES: the WordNet id of each class, in the order of the class ids."""

LEMMAS_FILE: Final = "imagenet_synset_to_lemma.txt"
"""In TABLES: on each line a WordNet id, a tab and its lemmas."""

CLASSES: Final = 1000
DEFAULT_OUTPUT: Final = Path(__file__).resolve().parents[1] / "clas" / "imagenet1k_label_list.txt"


class LabelError(Exception):
    """Raised when timm's tables are missing or malformed."""


def make_label_list(source: Path) -> list[str]:
    """Return the lines of the label list, without newlines.

    Args:
        source: timm's wheel, or a directory in which it is unpacked or installed.

    Raises:
        LabelError: The tables are missing or damaged, or don't describe 1000 classes.
        OSError: `source` can't be read.
    """
    synsets = read_table(source, SYNSETS_FILE)
    if len(set(synsets)) != CLASSES or len(synsets) != CLASSES:
        found = f"{len(set(synsets))} different classes in {len(synsets)} lines"
        raise LabelError(f"{SYNSETS_FILE} has {found}; expected {CLASSES}")
    lemmas = dict(_split_entry(line) for line in read_table(source, LEMMAS_FILE))
    missing = [synset for synset in synsets if synset not in lemmas]
    if missing:
        raise LabelError(f"{LEMMAS_FILE} has no entry for {', '.join(missing[:5])}")
    return [f"{class_id} {lemmas[synset]}" for class_id, synset in enumerate(synsets)]


def read_table(source: Path, name: str) -> list[str]:
    """Return the lines of one of timm's tables; raises as `make_label_list` does."""
    try:
        root = source if source.is_dir() else zipfile.Path(source)
        table = root.joinpath(TABLES, name)
        if not table.is_file():
            raise LabelError(f"{source} has no {TABLES}/{name}")
        return table.read_text(encoding="utf-8").splitlines()
    except (zipfile.BadZipFile, UnicodeDecodeError) as exc:
        raise LabelError(f"{source} is damaged or isn't a wheel: {exc}") from exc


def _split_entry(line: str) -> tuple[str, str]:
    synset, tab, lemmas = line.partition("\t")
    if not tab or not lemmas.strip():
        raise LabelError(f"{LEMMAS_FILE} has the line {line!r:.80}; expected an id, a tab and lemmas")
    return synset, lemmas.strip()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Make the label list of ImageNet-1k from timm's wheel.")
    parser.add_argument("source", type=Path, metavar="WHEEL_OR_DIR", help="timm's wheel, or its directory")
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, help="file (default: %(default)s)")
    args = parser.parse_args(argv)
    try:
        lines = make_label_list(args.source)
        args.output.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
    except (LabelError, OSError) as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    print(f"{args.output.resolve()}: {len(lines)} classes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
