"""`python -m clas PATH [PATH ...]`: classify files and folders without a server."""

import sys

from .commandline.terminal import INTERRUPTED


def main() -> int:
    """Run the command line and return its exit status."""
    try:
        from .commandline.cli import main as run  # noqa: PLC0415  # slow: Ctrl-C ends quietly meanwhile, too

        return run()
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
