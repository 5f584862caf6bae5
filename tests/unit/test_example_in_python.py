"""The example that the page on offline use names, as its reader runs it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from known_answers import PHOTOGRAPHS, TOP_5


def test_the_example_classifies_the_photographs_in_every_form(
    repository: Path, default_model_dir: Path, photographs: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "build" / "demo" / "images"
    folder.mkdir(parents=True)
    for name in PHOTOGRAPHS:
        shutil.copy(photographs / name, folder)
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore",
            str(repository / "examples" / "in_python.py"),
            str(default_model_dir),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        check=True,
    )
    head, *lines = done.stdout.splitlines()
    assert ": 1000 classes, with " in head
    found = re.findall(r"^(\S+): ([\d.]+)% (.+)$", "\n".join(lines), re.MULTILINE)
    assert len(found) == 3 * len(PHOTOGRAPHS)
    for name, shown in zip(PHOTOGRAPHS, found[::3], strict=True):
        assert shown[0] == name
        assert abs(float(shown[1]) / 100 - TOP_5[name][1][0]) < 1e-3
    best = TOP_5[PHOTOGRAPHS[0]][0][0]
    assert f"the best class in 5 forms: {[best] * 5}" in lines
    assert lines[-1].startswith("in grey [")
