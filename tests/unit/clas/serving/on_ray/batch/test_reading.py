import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

from clas.errors import ImageError
from clas.serving.on_ray.batch.inputs import Piece
from clas.serving.on_ray.batch.reading import Reader, Waiting
from clas.serving.on_ray.batch.storage import Storage, open_storage

LOCAL = open_storage("/")[0]


def read(piece: Piece, column: str = "") -> list[tuple[str, bytes | str]]:
    """Name and content of each image, or why there is none."""
    return [(image.name, content(image)) for image in Reader(LOCAL, column).images(piece, LOCAL)]


def content(image: Waiting) -> bytes | str:
    try:
        return image.load()
    except ImageError as exc:
        return str(exc)


def of_names(folder: Path, names: Iterable[str]) -> Piece:
    file = folder / "names.jsonl"
    file.write_text("".join(f"{json.dumps(name)}\n" for name in names))
    return Piece(0, "images", str(file))


def write_tar(file: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(file, "w") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def test_what_is_not_there_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"a")
    names = [f"{tmp_path}/a.jpg", f"{tmp_path}/b.jpg", str(tmp_path), f"file://{tmp_path}/a.jpg"]
    assert read(of_names(tmp_path, names)) == [
        (names[0], b"a"),
        (names[1], "the file can't be read: No such file or directory"),
        (names[2], "it isn't a file"),
        (names[3], b"a"),
    ]


def test_a_storage_that_does_not_answer_is_no_row(tmp_path: Path) -> None:
    once = AwsStandardS3RetryStrategy(max_attempts=1)
    nobody = {"endpoint_override": "127.0.0.1:9", "scheme": "http", "region": "r"}
    keys = {"access_key": "key", "secret_key": "secret"}
    home = Storage(S3FileSystem(**nobody, **keys, retry_strategy=once), "s3://")
    [image] = Reader(home, "").images(of_names(tmp_path, ["s3://bucket/x.jpg"]), LOCAL)
    with pytest.raises(OSError, match=r"(?i)network|connect"):
        image.load()


def test_members_of_a_tar_are_read_that_are_images(tmp_path: Path) -> None:
    file = tmp_path / "a.tar"
    write_tar(file, {"1.jpg": b"1", "1.cls": b"7", "x/2.PNG": b"2", ".3.jpg": b"3", "4.json": b"{}"})
    assert read(Piece(0, "tar", str(file))) == [(f"{file}/1.jpg", b"1"), (f"{file}/x/2.PNG", b"2")]


@pytest.mark.parametrize("kept", [700, 1024, 1500, 1700])
def test_a_tar_that_is_cut_off_ends_in_a_row_that_says_so(tmp_path: Path, kept: int) -> None:
    file = tmp_path / "a.tar"
    write_tar(file, {"1.jpg": b"1" * 100, "2.jpg": b"2" * 1000})
    file.write_bytes(file.read_bytes()[:kept])
    *_, (name, reason) = read(Piece(0, "tar", str(file)))
    assert name == str(file)
    assert str(reason).startswith("the rest of the file can't be read: ")


def test_rows_of_parquet_are_named_by_a_column_or_by_their_place(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": [b"0", b"1", None, b"3", b"4"]}), file, row_group_size=2)
    found = read(Piece(0, "parquet", str(file), 1, 2))
    assert found == [(f"{file}#2", "there is no image"), (f"{file}#3", b"3"), (f"{file}#4", b"4")]
    pq.write_table(pa.table({"image": [b"0", b"1"], "key": ["x", None]}), file)
    assert read(Piece(0, "parquet", str(file), 0, 1)) == [("x", b"0"), (f"{file}#1", b"1")]


def test_a_column_of_names_is_read_from_the_files_folder_on(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"a")
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"path": ["a.jpg", f"{tmp_path}/a.jpg", None]}), file)
    found = read(Piece(0, "parquet", str(file), 0, 1))
    assert found == [(f"{tmp_path}/a.jpg", b"a")] * 2 + [(f"{file}#2", "there is no image")]
