"""The rows of the output: a row an image, as parquet, JSON Lines or CSV."""

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Final, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from ....commandline.batches import Answered
from ....commandline.cells import csv_cells, csv_line
from ....commandline.csv_rows import columns_for, csv_by, csv_with
from ....commandline.rows import checked
from ....output.base import Prediction
from ....result_settings import ATTRIBUTE_FORMS

PATH, VERSION = "path", "model_version"
"""The first and the last column: an image's name, and the beginning of its model's fingerprint."""

_ROWS_OF_A_GROUP: Final = 65536
_ERROR: Final = "error"
_LISTS: Final = (
    (PATH, pa.string()),
    ("class_ids", pa.list_(pa.int64())),
    ("scores", pa.list_(pa.float32())),
    ("label_names", pa.list_(pa.string())),
)


class Writer(Protocol):
    """Writes the rows of a part."""

    def add(self, answers: Iterable[Answered]) -> None:
        """Write the results of some images."""

    def close(self) -> None:
        """Write what is left; the file itself stays open."""


class OutputFormat(NamedTuple):
    """One of the forms of parts.

    Attributes:
        suffix: Of their names.
        writer: From a file, what the model says of itself, and its version.
        read: Yields names and results of a file.
        errors: Yields for each row of a file why it has no result, or None.
    """

    suffix: str
    writer: Callable[[BinaryIO, Mapping[str, Any], str], Writer]
    read: Callable[[BinaryIO], Iterator[Answered]]
    errors: Callable[[BinaryIO], Iterator[str | None]]


def row_of(name: str, prediction: Prediction, version: str) -> dict[str, object]:
    """Return a row: the same columns for each image of a model, but for those of the form of results."""
    return {PATH: _encodable(name), **prediction, _ERROR: prediction.get(_ERROR), VERSION: version}


def answer_of(row: Any) -> Answered:  # noqa: ANN401  # as parsed
    """Return what a row says.

    Raises:
        ValueError: It is none.
    """
    name = row.pop(PATH, None) if isinstance(row, dict) else None
    if not isinstance(name, str):
        raise ValueError(row)  # noqa: TRY004  # it is the text that is invalid
    row.pop(VERSION, None)
    return Answered(name, checked({key: value for key, value in row.items() if value is not None}))


def schema_for(model: Mapping[str, Any]) -> pa.Schema:
    """Return the columns of parquet, by what a model says of itself."""
    return pa.schema([*_LISTS, *_own_columns(model), (_ERROR, pa.string()), (VERSION, pa.string())])


def _own_columns(model: Mapping[str, Any]) -> Sequence[tuple[str, pa.DataType]]:
    form, options = model["main_indicator"], model["postprocess"]
    if form in ATTRIBUTE_FORMS:
        return [("attributes", pa.list_(pa.string())), ("output", pa.list_(pa.int8()))]
    if form == "groups":
        group = pa.struct([("label", pa.string()), ("class_id", pa.int64()), ("score", pa.float32())])
        return [("groups", pa.struct([(each["name"], group) for each in options["groups"]]))]
    if form == "ScoreOutput":
        return [("value", pa.float64())]
    if "feature_format" not in options:
        return []
    return [("feature", pa.string() if options["feature_format"] == "base64" else pa.list_(pa.float32()))]


class _ParquetWriter:
    def __init__(self, file: BinaryIO, model: Mapping[str, Any], version: str) -> None:
        self._schema = schema_for(model)
        self._writer = pq.ParquetWriter(file, self._schema)
        self._version = version
        self._rows: list[dict[str, object]] = []

    def add(self, answers: Iterable[Answered]) -> None:
        self._rows += (row_of(name, _listed(prediction), self._version) for name, prediction in answers)
        if len(self._rows) >= _ROWS_OF_A_GROUP:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_pylist(self._rows, self._schema))
        self._rows.clear()


class _LineWriter:
    def __init__(self, file: BinaryIO, header: str, line: Callable[[Answered], str]) -> None:
        self._file = file
        self._line = line
        self._write([header] if header else [])

    def add(self, answers: Iterable[Answered]) -> None:
        self._write(map(self._line, answers))

    def close(self) -> None:
        pass

    def _write(self, lines: Iterable[str]) -> None:
        self._file.write("".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"))


def _write_jsonl(file: BinaryIO, _: Mapping[str, Any], version: str) -> Writer:
    return _LineWriter(file, "", lambda answer: json.dumps(row_of(*answer, version), ensure_ascii=False))


def _write_csv(file: BinaryIO, model: Mapping[str, Any], version: str) -> Writer:
    rows = csv_with(columns_for(model))
    header = ",".join([PATH, rows.header.partition(",")[2], VERSION])
    return _LineWriter(file, header, lambda answer: ",".join([rows.write(*answer), version]))


def _read_parquet(file: BinaryIO) -> Iterator[Answered]:
    for batch in pq.ParquetFile(file).iter_batches():
        yield from map(answer_of, batch.to_pylist())


def _parquet_errors(file: BinaryIO) -> Iterator[str | None]:
    for batch in pq.ParquetFile(file).iter_batches(columns=[_ERROR]):
        yield from batch[_ERROR].to_pylist()


def _read_jsonl(file: BinaryIO) -> Iterator[Answered]:
    return (answer_of(json.loads(line)) for line in file)


def _read_csv(file: BinaryIO) -> Iterator[Answered]:
    lines = (line.rstrip("\n") for line in io.TextIOWrapper(file, "utf-8", newline="\n"))
    header = next(lines).removeprefix(f"{PATH},").removesuffix(f",{VERSION}")
    read = csv_by(f"file,{header}").read
    return (Answered(*read(csv_line(csv_cells(line)[:-1]))) for line in lines)


def _errors_by(
    read: Callable[[BinaryIO], Iterator[Answered]],
) -> Callable[[BinaryIO], Iterator[str | None]]:
    return lambda file: (answer.prediction.get(_ERROR) for answer in read(file))


def _listed(prediction: Prediction) -> Prediction:
    """Return a result whose attributes are a list, as parquet has one type for a column."""
    if isinstance(texts := prediction.get("attributes"), str):
        return {**prediction, "attributes": [texts]}
    return prediction


def _encodable(name: str) -> str:
    """Return a name whose bytes that aren't UTF-8 are written as escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


FORMATS: Final = {
    "parquet": OutputFormat("parquet", _ParquetWriter, _read_parquet, _parquet_errors),
    "jsonl": OutputFormat("jsonl", _write_jsonl, _read_jsonl, _errors_by(_read_jsonl)),
    "csv": OutputFormat("csv", _write_csv, _read_csv, _errors_by(_read_csv)),
}
"""The values of `--format`."""
