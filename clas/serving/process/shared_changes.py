"""Changes the models of all workers at once: all load, then all switch, or none does.

The worker that was asked coordinates the others by two-phase commit. Each worker listens at a socket in a
directory that they share; a lock on a file there keeps other changes, and workers that start, out meanwhile.
What was decided is written down before anybody is told, so that a coordinator that dies leaves no doubt.
"""

import asyncio
import contextlib
import fcntl
import json
import logging
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from ... import errors
from ...errors import ClasError, ModelControlError
from ..models.registry import Models, Replacement

_LOGGER: Final = logging.getLogger("clas_system")
_POLL_S: Final = 0.05
_COMMIT: Final = b"commit\n"
_ABORT: Final = b"abort\n"


class _Decisions(NamedTuple):
    """What was decided since the start of the server.

    Attributes:
        last: Names the last change.
        unloaded: The models that were unloaded.
        loaded: Those that were loaded; some may not have been there at the start.
    """

    last: str = ""
    unloaded: Sequence[str] = ()
    loaded: Sequence[str] = ()

    def after(self, last: str, operation: str, name: str) -> "_Decisions":
        """Return what is decided after another change."""
        unloaded, loaded = {*self.unloaded} - {name}, {*self.loaded} - {name}
        (loaded if operation == "load" else unloaded).add(name)
        return _Decisions(last, sorted(unloaded), sorted(loaded))


class SharedChanges:
    """One worker's part in the changes of all; see `Changes`.

    Args:
        models: This worker's.
        directory: What the workers share; may not exist yet.
    """

    def __init__(self, models: Models, directory: Path) -> None:
        self._models = models
        self._directory = directory
        self._socket = directory / f"{os.getpid()}.sock"
        self._server: asyncio.Server | None = None
        self._count = 0

    async def open(self) -> None:
        """Take part from now on; to be called before the models are loaded.

        What was changed before this worker was started holds for its models, too.
        """
        async with self._turn():
            decided = self._decisions()
            for name in decided.loaded:
                with contextlib.suppress(ClasError):  # it is gone; others still have it in memory
                    self._models.add(name)
            for name in decided.unloaded:
                if name in self._models:
                    self._models.unload(name)
            self._socket.unlink(missing_ok=True)  # of a process that had our number
            try:
                self._server = await asyncio.start_unix_server(self._take_part, self._socket)
            except OSError as exc:  # such as a path that is too long
                _LOGGER.warning("models can't be changed while this server runs: %s", exc)

    async def load(self, name: str) -> None:
        """See `Changes`."""
        await self._change("load", name)

    async def unload(self, name: str) -> None:
        """See `Changes`."""
        await self._change("unload", name)

    async def _change(self, operation: str, name: str) -> None:
        async with self._turn(), contextlib.AsyncExitStack() as stack:
            self._count += 1
            change = {"id": f"{os.getpid()}-{self._count}", "operation": operation, "name": name}
            peers = await self._connect(stack)
            if self._server is None or not self._socket.exists():  # others' may be gone, too
                raise ModelControlError("the workers can't be reached: the log has the reason, or restart")
            votes = await asyncio.gather(*(peer.ask(json.dumps(change).encode() + b"\n") for peer in peers))
            refusal = _refusal([vote for vote in votes if vote], name)
            if refusal is None:
                self._write(self._decisions().after(change["id"], operation, name))
            await asyncio.gather(*(peer.ask(_ABORT if refusal else _COMMIT) for peer in peers))
            if refusal:
                raise refusal

    async def _take_part(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve the connection of the worker that coordinates a change."""
        replacement: Replacement | None = None
        try:
            change = json.loads(await reader.readline())
            try:
                replacement = await self._prepare(change)
                vote = {"version": replacement.pool.version if replacement else ""}
            except ClasError as exc:
                vote = {"error": type(exc).__name__, "message": str(exc)}
            await _tell(writer, vote)
            decision = await reader.readline()
            if decision == _COMMIT or (not decision and self._decisions().last == change["id"]):
                self._commit(change, replacement)
            elif replacement:
                await self._models.discard(replacement)
            await _tell(writer, {})
        except (OSError, ValueError) as exc:
            _LOGGER.warning("a change of the models was cut off: %s", exc)
        finally:
            writer.close()

    async def _prepare(self, change: dict[str, str]) -> Replacement | None:
        if change["operation"] == "load":
            return await self._models.prepare(change["name"])
        self._models[change["name"]]  # raises if there is none
        return None

    def _commit(self, change: dict[str, str], replacement: Replacement | None) -> None:
        if replacement:
            self._models.commit(replacement)
        elif change["operation"] == "unload":
            self._models.unload(change["name"])

    async def _connect(self, stack: contextlib.AsyncExitStack) -> "list[_Peer]":
        """Connect to all workers, this one included; what a dead one has left is removed."""
        peers = []
        for path in self._directory.glob("*.sock"):
            try:
                reader, writer = await asyncio.open_unix_connection(path)
            except (ConnectionRefusedError, FileNotFoundError):
                path.unlink(missing_ok=True)
                continue
            except OSError as exc:
                raise ModelControlError(f"a worker can't be reached now: {exc.strerror}") from exc
            stack.callback(writer.close)
            peers.append(_Peer(reader, writer))
        return peers

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Keep others from changing anything for the duration of a block."""
        self._directory.mkdir(parents=True, exist_ok=True)  # /tmp may have been cleaned up
        with (self._directory / "lock").open("w") as file:  # it is empty
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await asyncio.sleep(_POLL_S)
            yield

    def _decisions(self) -> _Decisions:
        try:
            return _Decisions(**json.loads((self._directory / "decisions.json").read_text()))
        except FileNotFoundError:
            return _Decisions()

    def _write(self, decisions: _Decisions) -> None:
        temporary = self._directory / "decisions.new"
        temporary.write_text(json.dumps(decisions._asdict()))
        temporary.replace(self._directory / "decisions.json")


class _Peer(NamedTuple):
    """A worker, as the one that coordinates sees it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, line: bytes) -> dict[str, Any]:
        """Tell it something; returns its answer, empty if it has died."""
        try:
            self.writer.write(line)
            await self.writer.drain()
            answer: dict[str, Any] = json.loads(await self.reader.readline() or b"{}")
        except OSError:
            return {}
        return answer


async def _tell(writer: asyncio.StreamWriter, answer: dict[str, str]) -> None:
    writer.write(json.dumps(answer).encode() + b"\n")
    await writer.drain()


def _refusal(votes: Sequence[dict[str, str]], name: str) -> ClasError | None:
    """Return why a change can't be made; None if all can make it."""
    for vote in votes:
        if "error" in vote:
            kind: type[ClasError] = getattr(errors, vote["error"])
            return kind(vote["message"])
    if len({vote["version"] for vote in votes}) > 1:
        return ModelControlError(f"the files of the model {name} were changed while they were loaded")
    return None
