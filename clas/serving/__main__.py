"""`python -m clas.serving`, and `clas-serving`."""

import sys


def main() -> int:
    """Run the command line and return its exit status."""
    from .cli import main as run  # noqa: PLC0415  # the model's process imports this file, too

    return run()


if __name__ == "__main__":
    sys.exit(main())
