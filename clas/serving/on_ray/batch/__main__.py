"""Entry point of `python -m clas.serving.on_ray.batch` and `clas-batch`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
