"""`make demo`: install the module, serve it with the real PaddleHub, and classify three photographs.

It uses a PaddleHub home of its own below build/, so that yours stays as it is.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from hub_server import hub_serving, run_hub
from server_process import free_port

REPOSITORY: Final = Path(__file__).resolve().parent.parent
PHOTOGRAPHS: Final = ("chelsea.png", "coffee.png", "rocket.jpg")


def photograph(name: str) -> Path:
    """Path of a photograph that ships inside scikit-image's wheel."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("scikit-image is not installed: run `make`")
    return Path(spec.origin).parent / "data" / name


def main() -> int:
    """Run the demo and return the client's exit status."""
    work = REPOSITORY / "build" / "demo"
    shutil.rmtree(work, ignore_errors=True)
    images = work / "images"
    images.mkdir(parents=True)
    for name in PHOTOGRAPHS:
        shutil.copy(photograph(name), images)
    env = {**os.environ, "HUB_HOME": str(work / "hub_home")}
    port = free_port()

    print("hub install clas/", flush=True)
    installed = run_hub(["install", "clas/"], env, REPOSITORY)
    if installed.returncode:
        print(installed.stdout)
        return installed.returncode
    print(f"hub serving start -m clas_system -p {port}", flush=True)
    with hub_serving(["-m", "clas_system", "-p", str(port)], port, work / "server.log", env, work):
        url = f"http://127.0.0.1:{port}/predict/clas_system"
        command = ["test_hubserving.py", "--server_url", url, "--image_file", str(images)]
        print("python", *command, flush=True)
        client = subprocess.run([sys.executable, *command], cwd=REPOSITORY, check=False)
    print(f"the server has been stopped; its log: {work / 'server.log'}")
    return client.returncode


if __name__ == "__main__":
    sys.exit(main())
