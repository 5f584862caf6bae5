"""`python -m clas.serving`, and `clas-serving`."""

import os
import sys


def main() -> int:
    """Run the command line and return its exit status; a server is started by a parent, see `parent`."""
    from .process.control import adopt  # noqa: PLC0415  # the model's process imports this file, too

    control = adopt()
    if sys.argv[1:2] == ["start"] and not control.parent and os.name == "posix":
        from .process.parent import run_parent  # noqa: PLC0415

        return run_parent()
    from .cli import main as run  # noqa: PLC0415  # heavy, and the parent is to be light

    return run(control=control)


if __name__ == "__main__":
    sys.exit(main())
