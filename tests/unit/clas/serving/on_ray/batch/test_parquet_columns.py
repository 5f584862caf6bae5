import pyarrow as pa
import pytest

from clas.errors import SettingsError
from clas.serving.on_ray.batch.parquet_columns import Columns, bytes_of, find_columns

BYTES, TEXT, NUMBER = pa.binary(), pa.string(), pa.int64()
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


@pytest.mark.parametrize(
    ("columns", "wanted", "found"),
    [
        ({"label": NUMBER, "content": BYTES}, "", Columns("content", has_bytes=True)),
        ({"text": TEXT, "path": TEXT, "x": pa.large_binary()}, "", Columns("x", has_bytes=True, name="path")),
        ({"image": IMAGE, "label": NUMBER}, "", Columns("image", has_bytes=True)),
        ({"a": BYTES, "b": BYTES}, "b", Columns("b", has_bytes=True)),
        ({"URL": TEXT, "caption": TEXT}, "", Columns("URL", has_bytes=False)),
        ({"where": TEXT}, "", Columns("where", has_bytes=False)),
        ({"a": BYTES, "path": TEXT}, "path", Columns("path", has_bytes=False)),
    ],
)
def test_the_column_is_found(columns: dict[str, pa.DataType], wanted: str, found: Columns) -> None:
    assert find_columns(pa.schema(columns), wanted, "x.parquet") == found


@pytest.mark.parametrize(
    ("columns", "wanted", "message"),
    [
        ({"n": NUMBER}, "", "no column of bytes or texts; --column takes one of n"),
        ({"a": BYTES, "b": BYTES}, "", "several columns that may be the images; --column takes one of a, b"),
        ({"path": TEXT, "uri": TEXT}, "", "several columns"),
        ({"a": BYTES}, "c", "no column 'c' of bytes or texts"),
        ({"a": BYTES, "n": NUMBER}, "n", "no column 'n' of bytes or texts"),
    ],
)
def test_a_column_that_is_not_clear_is_refused(
    columns: dict[str, pa.DataType], wanted: str, message: str
) -> None:
    with pytest.raises(SettingsError, match=f"^x.parquet has {message}"):
        find_columns(pa.schema(columns), wanted, "x.parquet")


def test_a_cell_holds_a_file_or_a_struct_with_one() -> None:
    assert bytes_of(b"x") == bytes_of({"bytes": b"x", "path": "y"}) == b"x"
    assert bytes_of(None) is None
