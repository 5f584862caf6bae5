from pathlib import Path

import pytest
from pyarrow.fs import FileType

from clas.errors import SettingsError
from clas.serving.on_ray.batch.storage import open_storage


@pytest.mark.parametrize(
    ("uri", "name", "path"),
    [
        ("s3://bucket/a b/c?.jpg", "s3://bucket/a b/c?.jpg", "bucket/a b/c?.jpg"),
        ("s3://key:secret@bucket/a/?region=eu-west-1&scheme=http", "s3://bucket/a", "bucket/a"),
        ("s3://bucket", "s3://bucket", "bucket"),
        ("file:///a/b", "file:///a/b", "/a/b"),
        ("/a/b", "/a/b", "/a/b"),
    ],
)
def test_a_name_has_neither_options_nor_credentials(uri: str, name: str, path: str) -> None:
    if not uri.endswith("=http") and uri.startswith("s3"):
        uri += "?region=eu-west-1"  # else S3 is asked for it
    storage, found = open_storage(uri)
    assert (found, storage.path(found)) == (name, path)


def test_a_local_name_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_storage("images")[1] == str(tmp_path / "images")


@pytest.mark.parametrize("uri", ["gopher://host/x", "s3:///x"])
def test_an_unknown_storage_is_refused_without_its_credentials(uri: str) -> None:
    with pytest.raises(SettingsError, match="can't be opened"):
        open_storage(uri)


def test_a_file_is_there_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    storage, folder = open_storage(str(tmp_path / "new"))
    name = f"{folder}/part"

    def write(content: bytes, *, fails: bool) -> None:
        with storage.writing(name) as file:
            file.write(content)
            assert storage.kind(name) is FileType.NotFound
            if fails:
                raise InterruptedError

    with pytest.raises(InterruptedError):
        write(b"half", fails=True)
    assert storage.kind(name) is FileType.NotFound
    write(b"all", fails=False)
    assert storage.read(name) == b"all"
    assert storage.read(name, 2) == b"al"
    storage.remove_unfinished(folder)
    assert [entry.path for entry in storage.entries(folder)] == [name]
    storage.remove_unfinished(folder)
