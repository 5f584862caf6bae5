"""`make airgapped`: install an archive of `make wheelhouse` where there is no network, and use what it has.

    python tools/try_wheelhouse.py build/clas_system-1.0.0-serving-cp311-linux_x86_64.tar.gz

In a network namespace of its own, which Linux gives any user: the archive is unpacked in a new folder,
installed, and the command that install.sh names is run. A server is asked for a prediction.
"""

import argparse
import base64
import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import Request, urlopen

IMAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "images" / "ui.png"
URL: Final = "http://127.0.0.1:8866/predict/clas_system"
_ELSEWHERE: Final = ("192.0.2.1", 443)  # RFC 5737: for documentation, nobody's
_UP: Final = 0x8914  # SIOCSIFFLAGS
_IFF_UP: Final = 1
_LONGEST_S: Final = 180


def main(argv: list[str] | None = None) -> int:
    """Try the archive and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("archive", type=Path)
    parser.add_argument("--inside", action="store_true", help="the network is cut off already")
    args = parser.parse_args(argv)
    if not args.inside:
        unshare = shutil.which("unshare")
        if not unshare:
            parser.error("unshare of util-linux cuts off the network, and isn't installed")
        own = [sys.executable, __file__, "--inside", str(args.archive.resolve())]
        return subprocess.run([unshare, "--map-root-user", "--net", *own], check=False).returncode
    set_up_loopback()
    try:
        socket.create_connection(_ELSEWHERE, 5).close()
    except OSError as exc:
        print(f"no network: {exc.strerror}", flush=True)
    else:
        print("there is a network: nothing is tried", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="airgapped_") as work:
        return try_archive(args.archive, Path(work))


def set_up_loopback() -> None:
    """Turn on 127.0.0.1, which a new namespace has turned off."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _UP, struct.pack("16sh14x", b"lo", _IFF_UP))


def try_archive(archive: Path, work: Path) -> int:
    """Unpack, install, and run what comes next; returns the exit status."""
    with tarfile.open(archive) as tar:
        tar.extractall(work, filter="data")
    [folder] = work.iterdir()
    home = work / "home"
    env = {
        "PYTHON": sys.executable,
        **os.environ,
        "HOME": str(home),
        "HUB_HOME": str(home),
        "XDG_STATE_HOME": str(home),
    }
    home.mkdir()
    start = time.monotonic()
    installed = subprocess.run(
        ["/bin/sh", "install.sh"], cwd=folder, env=env, stdout=subprocess.PIPE, text=True, check=False
    )
    print(installed.stdout, end="", flush=True)
    if installed.returncode:
        return installed.returncode
    print(f"installed in {time.monotonic() - start:.0f} s", flush=True)
    command = installed.stdout.splitlines()[-1].strip()
    if " start " not in command:
        return subprocess.run(command, shell=True, cwd=home, env=env, check=False).returncode  # noqa: S602  # as typed
    with subprocess.Popen(command, shell=True, cwd=home, env=env, start_new_session=True) as server:  # noqa: S602
        try:
            print(classify(server), flush=True)
        finally:
            os.killpg(server.pid, signal.SIGTERM)
    return 0


def classify(server: "subprocess.Popen[bytes]") -> str:
    """Send an image, in the form that both services take, until there is an answer; returns that."""
    body = json.dumps({"images": [base64.b64encode(IMAGE.read_bytes()).decode()]}).encode()
    request = Request(URL, body, {"Content-Type": "application/json"})
    deadline = time.monotonic() + _LONGEST_S
    while True:
        try:
            with urlopen(request, timeout=_LONGEST_S) as response:  # noqa: S310
                answer: str = response.read().decode()
                return answer
        except URLError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())
