"""A run of `clas-batch`: what it was asked for, and the parts that it is cut into.

The output's folder `_run` holds both, so that a run that was killed goes on where it stopped.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

from pyarrow.fs import FileType

from ....errors import SettingsError
from ....image.operations import described
from ....model.exported import ExportedModel
from ....settings import SETTING_NAMES
from .inputs import Piece, find_pieces
from .rows import FORMATS, OutputFormat
from .storage import Storage, open_storage

_RUN: Final = "_run"
_LEFT_OUT: Final = ("inference_model_dir", "model_key_file", "cpu_num_threads", "gpu_mem", "max_batch_size")
"""Settings that don't change results, or that the model's fingerprint stands for."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What a run was asked for.

    Attributes:
        inputs: Paths and addresses.
        output: The folder of the parts.
        format: One of rows.FORMATS.
        part_rows: See `find_pieces`.
        column: See `find_pieces`.
        settings: The settings that were given.
        fingerprint: The model's, in hexadecimal digits; every node must have this one.
    """

    inputs: Sequence[str]
    output: str
    format: str
    part_rows: int
    column: str
    settings: Mapping[str, object]
    fingerprint: str = ""

    @property
    def form(self) -> OutputFormat:
        """How parts are written."""
        return FORMATS[self.format]

    def open_output(self) -> tuple[Storage, str]:
        """Return the storage of the output, and its folder."""
        return open_storage(self.output)

    def part_file(self, number: int) -> str:
        """Return what a part is called in the output's folder."""
        return f"part-{number:06}.{self.form.suffix}"

    def part_name(self, number: int) -> str:
        """Return the name of a part."""
        return f"{self.open_output()[1]}/{self.part_file(number)}"


@dataclasses.dataclass(frozen=True)
class Plan:
    """The parts of a run.

    Attributes:
        pieces: The input of each part.
        missing: The numbers of those that aren't written yet.
    """

    pieces: Sequence[Piece]
    missing: Sequence[int]


def make_plan(job: Job, model: ExportedModel) -> Plan:
    """Cut the input into parts, or go on with the parts of an earlier run.

    Raises:
        SettingsError: The earlier run was asked for something else, or the input or the output can't be used.
    """
    storage, folder = job.open_output()
    wanted = _asked_for(job, model)
    try:
        names = (info.base_name for info in storage.entries(folder))
        written = {name for name in names if name.startswith("part-")}
        if storage.kind(f"{folder}/{_RUN}/run.json") is FileType.File:
            _check(json.loads(storage.read(f"{folder}/{_RUN}/run.json")), wanted, folder)
        elif written:
            raise SettingsError(f"{folder} has parts already, but no {_RUN}: name another --output")
        else:
            _write_plan(job, storage, folder, wanted)
        pieces = list(_read_pieces(storage, folder))
    except (OSError, ValueError) as exc:
        raise SettingsError(f"the output {folder} can't be used: {exc}") from exc
    missing = [n for n in range(len(pieces)) if job.part_file(n) not in written]
    return Plan(pieces, missing)


def remove_unfinished(job: Job) -> None:
    """Remove what killed processes have left in the output, when nobody writes any more."""
    storage, folder = job.open_output()
    for each in (folder, f"{folder}/{_RUN}"):
        storage.remove_unfinished(each)


def _asked_for(job: Job, model: ExportedModel) -> dict[str, Any]:
    """Return what a run has in common with those that may go on with it, as JSON has it."""
    settings = {name: getattr(model.settings, name) for name in SETTING_NAMES if name not in _LEFT_OUT}
    settings["transform_ops"] = described(model.settings.transform_ops)
    labels = hashlib.blake2b(repr(sorted(model.labels.items())).encode(), digest_size=8)
    asked = {
        "input": [open_storage(uri)[1] for uri in job.inputs],
        **{name: getattr(job, name) for name in ("format", "part_rows", "column")},
        "model": model.fingerprint.digest.hex(),
        "labels": labels.hexdigest(),
        **settings,
    }
    return cast("dict[str, Any]", json.loads(json.dumps(asked, default=str)))


def _check(before: Mapping[str, Any], wanted: Mapping[str, Any], folder: str) -> None:
    for name in {**before, **wanted}:
        if before.get(name) != wanted.get(name):
            raise SettingsError(
                f"{folder} was made with another {name} ({before.get(name)}; now it is {wanted.get(name)}): "
                "name another --output"
            )


def _write_plan(job: Job, storage: Storage, folder: str, asked: Mapping[str, Any]) -> None:
    """Write the parts, and at last what was asked for, which says that all parts are there."""
    with storage.writing(f"{folder}/{_RUN}/parts.jsonl") as parts:
        for number, piece in enumerate(find_pieces(job.inputs, job.part_rows, job.column)):
            source = piece.source
            if piece.names:
                source = f"{folder}/{_RUN}/names-{number:06}.jsonl"
                with storage.writing(source) as names:
                    names.write("".join(f"{json.dumps(name)}\n" for name in piece.names).encode())
            line = [*piece._replace(source=source, names=())]
            parts.write(f"{json.dumps(line)}\n".encode())
    with storage.writing(f"{folder}/{_RUN}/run.json") as run:
        run.write(json.dumps(asked, indent=2).encode())


def _read_pieces(storage: Storage, folder: str) -> Iterator[Piece]:
    with storage.open(f"{folder}/{_RUN}/parts.jsonl") as lines:
        yield from (Piece(*json.loads(line)) for line in lines)
