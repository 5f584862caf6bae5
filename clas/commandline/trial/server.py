"""The standalone server in a process of its own, on a free port."""

import http.client
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ...errors import PredictionError, StartupError
from ...output.base import Prediction
from ...protocol import MODULE_NAME, PREDICT_PATH

_HOST: Final = "127.0.0.1"
_START_S: Final = 900.0  # TensorRT builds its engines meanwhile
_STOP_S: Final = 40.0
_POLL_S: Final = 0.05
_JSON: Final = {"Content-Type": "application/json"}
_OK: Final = 200


class Connection:
    """A connection to the server; not to be shared between threads.

    Args:
        port: The server's.
    """

    def __init__(self, port: int) -> None:
        self._http = http.client.HTTPConnection(_HOST, port, timeout=120)

    def get(self, path: str) -> dict[str, Any]:
        """Return the JSON at a path; raises PredictionError if there is none."""
        return self._ask("GET", path)

    def predict(self, body: bytes) -> list[Prediction]:
        """Send a request.

        Raises:
            PredictionError: It isn't answered, or refused.
        """
        answer: list[Prediction] = self._ask("POST", PREDICT_PATH, body)["results"]["prediction"]
        return answer

    def close(self) -> None:
        """Close it."""
        self._http.close()

    def _ask(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        try:
            self._http.request(method, path, body, _JSON)
            response = self._http.getresponse()
            content: dict[str, Any] = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as exc:
            raise PredictionError(f"the server gave no answer: {type(exc).__name__}: {exc}") from exc
        if response.status != _OK:
            raise PredictionError(
                f"the server answered HTTP {response.status}: {content.get('msg', content)}"
            )
        return content


class TrialServer:
    """A running server.

    Args:
        process: The server's.
        log: What it has printed.

    Attributes:
        port: Its port.
        exit_status: Its exit status when it was stopped; None if it had to be killed.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.port = 0
        self.exit_status: int | None = None
        self._process = process
        self._log = log

    def wait_until_ready(self) -> float:
        """Wait until the server takes requests.

        Returns:
            The seconds since this was called.

        Raises:
            StartupError: It has ended, or took too long.
        """
        start = time.monotonic()
        while not self._is_ready():
            if self._process.poll() is not None:
                raise StartupError(f"the server doesn't start: {self._last_line()}")
            if time.monotonic() - start > _START_S:
                raise StartupError(f"the server isn't ready after {_START_S:g} s: {self._last_line()}")
            time.sleep(_POLL_S)
        return time.monotonic() - start

    def stop(self) -> None:
        """Stop it, or kill it if it doesn't end."""
        self._process.terminate()
        try:
            self.exit_status = self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _is_ready(self) -> bool:
        if not self.port:
            found = re.search(rf"listening at http://{re.escape(_HOST)}:(\d+)", self._read_log())
            self.port = int(found[1]) if found else 0
        if not self.port:
            return False
        connection = Connection(self.port)
        try:
            connection.get("/health/ready")
        except PredictionError:
            return False
        finally:
            connection.close()
        return True

    def _read_log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def _last_line(self) -> str:
        """The last message of the log, without time and level; of a traceback, the error."""
        lines = [line for line in self._read_log().splitlines() if line.strip()]
        failed = [line for line in lines if "CRITICAL" in line] or lines
        return re.sub(r"^\[.*?\] \[.*?\] - .*?: ", "", failed[-1]) if failed else "its log is empty"


@contextmanager
def trial_server(init_args: Mapping[str, object]) -> Iterator[TrialServer]:
    """Start a server, and stop it when the block ends.

    Args:
        init_args: Those of its config.json.
    """
    module = {"init_args": dict(init_args), "predict_args": {}}
    config = {"modules_info": {MODULE_NAME: module}, "host": _HOST, "port": 0}
    with tempfile.TemporaryDirectory(prefix="clas-", ignore_cleanup_errors=True) as scratch:
        file, log = Path(scratch) / "config.json", Path(scratch) / "log"
        file.write_text(json.dumps(config), encoding="utf-8")
        with log.open("wb") as stream:
            process = subprocess.Popen(  # noqa: S603  # this Python
                _command(file), stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT
            )
        server = TrialServer(process, log)
        try:
            yield server
        finally:
            server.stop()


def _command(config: Path) -> Sequence[str]:
    package = (__package__ or "").partition(".")[0]
    return [sys.executable, "-W", "ignore", "-m", f"{package}.serving", "start", "-c", str(config)]
