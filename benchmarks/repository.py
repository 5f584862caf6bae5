"""Where things are. A program here imports this first: then Python finds the package, and what tools/ has."""

import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
MODEL: Final = ROOT / "clas" / "inference"
"""What `make model` exports."""

sys.path[:0] = [str(ROOT), str(ROOT / "tools")]
