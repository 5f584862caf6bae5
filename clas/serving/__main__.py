"""`python -m clas.serving`."""

import sys

from .cli import main

sys.exit(main())
