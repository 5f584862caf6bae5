import os
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem
from pyarrow.fs import FileInfo, FileSelector, FileType, FSSpecHandler, PyFileSystem

from clas.errors import SettingsError
from clas.serving.on_ray.batch import inputs
from clas.serving.on_ray.batch.inputs import Piece, find_pieces, folder_of
from clas.serving.on_ray.batch.storage import Storage


def touch(folder: Path, *names: str) -> None:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def pieces(*inputs: Path | str, rows: int = 100, column: str = "") -> list[Piece]:
    return list(find_pieces([str(each) for each in inputs], rows, column))


def names(found: list[Piece], folder: Path) -> list[list[str]]:
    return [[str(Path(name).relative_to(folder)) for name in piece.names] for piece in found]


def test_a_folder_becomes_parts_in_the_order_of_names(tmp_path: Path) -> None:
    touch(tmp_path, "b/2.jpg", "b/1.png", "a.JPG", ".hidden.jpg", "b/notes.md", "@eaDir/x.jpg", "c.tar")
    assert names(pieces(tmp_path, rows=2), tmp_path) == [["a.JPG", "b/1.png"], ["b/2.jpg"]]


@pytest.mark.parametrize(
    ("glob", "found"),
    [
        ("*.jpg", ["a.jpg", "b.jpg"]),
        ("?.jpg", ["a.jpg", "b.jpg"]),
        ("[!a].jpg", ["b.jpg"]),
        ("**/*.jpg", ["a.jpg", "b.jpg", "x/c.jpg", "x/y/d.jpg"]),
        ("x/**/*.jpg", ["x/c.jpg", "x/y/d.jpg"]),
        ("*/*.jpg", ["x/c.jpg"]),
        ("x*/c.*", ["x/c.jpg", "x/c.png"]),
    ],
)
def test_a_glob_is_matched_as_in_a_shell(tmp_path: Path, glob: str, found: list[str]) -> None:
    touch(tmp_path, "a.jpg", "b.jpg", "x/c.jpg", "x/c.png", "x/y/d.jpg", ".z/e.jpg", "_run/f.jpg")
    assert names(pieces(f"{tmp_path}/{glob}"), tmp_path) == [found]


def test_images_named_one_by_one_share_a_part(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    assert names(pieces(tmp_path / "b.jpg", tmp_path / "a.jpg"), tmp_path) == [["b.jpg", "a.jpg"]]


def test_a_list_names_images_from_its_folder_on_or_anywhere(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_bytes(b"\xef\xbb\xbfa.jpg\n\n/b/c.jpg\r\ns3://bucket/d e.jpg\n\xff.jpg")
    wanted = (f"{tmp_path}/a.jpg", "/b/c.jpg", "s3://bucket/d e.jpg", f"{tmp_path}/\udcff.jpg")
    assert pieces(file) == [Piece(0, "images", names=wanted)]


def test_each_tar_is_a_part(tmp_path: Path) -> None:
    touch(tmp_path, "1.tar", "2.tar.gz", "3.tgz")
    found = pieces(tmp_path / "1.tar", f"{tmp_path}/[23]*")
    files = [(piece.kind, Path(piece.source).name) for piece in found]
    assert files == [("tar", "1.tar"), ("tar", "2.tar.gz"), ("tar", "3.tgz")]
    assert [piece.place for piece in found] == [0, 1, 1]


def test_row_groups_share_a_part_up_to_its_rows(tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"image": [b""] * 25}), file, row_group_size=4)  # 4, 4, 4, 4, 4, 4, 1
    found = [(piece.first_group, piece.num_groups) for piece in pieces(file, rows=10)]
    assert found == [(0, 2), (2, 2), (4, 3)]
    assert [piece.num_groups for piece in pieces(file, rows=1)] == [1] * 7


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "there is no file or folder"),
        ("notes.md", "can't be classified; it takes a folder of images"),
        ("empty", "there is no image in .*/empty; tars and parquet files are named by a glob"),
        ("*.jpg", "there is no image in"),
        ("bad.parquet", r"bad.parquet can't be read"),
        ("two.parquet", "several columns that may be the images; --column takes one of a, b"),
    ],
)
def test_an_input_that_is_none_is_refused(tmp_path: Path, name: str, message: str) -> None:
    touch(tmp_path, "notes.md", "empty/x.tar", "bad.parquet")
    pq.write_table(pa.table({"a": [b""], "b": [b""]}), tmp_path / "two.parquet")
    with pytest.raises(SettingsError, match=message):
        pieces(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_can_not_be_read_ends_the_run(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.jpg")
    (tmp_path / "a").chmod(0)
    with pytest.raises(SettingsError, match="can't be read"):
        pieces(tmp_path)


class OnlyObjects(FSSpecHandler):  # type: ignore[misc]  # pyarrow has no types
    """Lists as pyarrow's GcsFileSystem does: no folder that nobody has made as such."""

    def get_type_name(self) -> str:
        return "gcs"

    def get_file_info_selector(self, selector: FileSelector) -> list[FileInfo]:
        found: list[FileInfo] = super().get_file_info_selector(selector)
        return [info for info in found if info.type is FileType.File]


@pytest.mark.parametrize("glob", ["", "/**/*.jpg"])
def test_folders_are_found_where_only_objects_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, glob: str
) -> None:
    touch(tmp_path, "a.jpg", "cats/b.jpg", "cats/small/c.jpg", ".d/e.jpg", "_run/f.jpg", "cats/_g.jpg")
    storage = Storage(PyFileSystem(OnlyObjects(LocalFileSystem())), "gs://photos")
    monkeypatch.setattr(inputs, "open_storage", lambda uri: (storage, uri))
    [part] = pieces(f"gs://photos{tmp_path}{glob}")
    assert part.names == tuple(
        f"gs://photos{tmp_path}/{name}" for name in ("a.jpg", "cats/b.jpg", "cats/small/c.jpg")
    )


def test_a_part_of_very_many_names_is_listed_in_little_memory(tmp_path: Path) -> None:
    """The names of a part are held, and nothing of the parts before."""
    file = tmp_path / "list.txt"
    with file.open("w") as lines:
        lines.writelines(f"/images/of/some/folder/{number:09}.jpg\n" for number in range(300_000))
    tracemalloc.start()
    try:
        assert sum(len(piece.names) for piece in find_pieces([str(file)], 5000, "")) == 300_000
        assert tracemalloc.get_traced_memory()[1] < 5 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("/a/b", "/a/b"),
        ("/a/b/*.jpg", "/a/b"),
        ("/a/*/c.tar", "/a"),
        ("s3://bucket/a/list.txt", "s3://bucket/a"),
        ("s3://bucket/a/x.parquet", "s3://bucket/a"),
        ("s3://bucket/a.b", "s3://bucket/a.b"),
    ],
)
def test_names_of_images_begin_in_the_folder_of_their_input(name: str, folder: str) -> None:
    assert folder_of(name) == folder
