"""The parser of every command line: flags in groups, `--version`, and errors in one line."""

import argparse
import difflib
import sys
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from ..protocol import MODULE_NAME, VERSION

_AFTER_FLAGS: Final = "--"


class Parser(argparse.ArgumentParser):
    """Has `--version`, shows flags by group, and refuses an invalid argument in one line.

    An unknown flag is refused with the nearest one that there is. Arguments as of argparse's own parser.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # argparse's
        super().__init__(*args, **kwargs)
        self._by_title: dict[str, argparse._ArgumentGroup] = {}
        self.add_argument(
            "--version",
            action="version",
            version=f"{MODULE_NAME} {VERSION}",
            help="Show the version, and exit",
        )

    def group(self, title: str, description: str | None = None) -> "argparse._ArgumentGroup":
        """Return the group of flags with a title, which `--help` shows in the order of their making."""
        if title not in self._by_title:
            self._by_title[title] = self.add_argument_group(title, description)
        return self._by_title[title]

    def parse_known_args(  # type: ignore[override]  # argparse's has overloads
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse arguments, all of which have to be known; that of a subcommand is called by argparse."""
        given = list(sys.argv[1:] if args is None else args)
        if not self._subparsers:  # whose flags are their own
            self._refuse_unknown(given)
        parsed, unknown = super().parse_known_args(given, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return parsed, []

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        self.exit(2, f"{self.prog}: error: {message}; see --help\n")

    def _refuse_unknown(self, given: Sequence[str]) -> None:
        """Name an unknown flag, rather than the flags that seem to be missing when its value is misread."""
        known = [name for name in self._option_string_actions if name.startswith("--")]
        for argument in given:
            if argument == _AFTER_FLAGS:
                return
            name = argument.partition("=")[0]
            if not name.startswith("--") or name in known:
                continue
            if self.allow_abbrev and any(other.startswith(name) for other in known):
                continue
            spelled = f"--{name[2:].replace('-', '_')}"
            nearest = difflib.get_close_matches(spelled, known, n=1)
            hint = f"; did you mean {nearest[0]}?" if nearest else ""
            self.error(f"there is no flag {name}{hint}")
