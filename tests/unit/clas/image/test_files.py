import errno
import os
import sys
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from clas.errors import ImageError
from clas.image import files
from clas.image.files import HIDDEN, count_images, find_images, read_file


def refuse(error: OSError) -> None:
    raise AssertionError(error)


def make(folder: Path, *names: str) -> None:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def test_a_folder_is_walked_recursively_in_sorted_order_whatever_the_case(tmp_path: Path) -> None:
    wanted = ["a.JPG", "b/1.png", "b/2/x.jpeg", "c.bmp", "d.WebP", "e.tif", "f.TIFF", "g.jfif", "h.JPE"]
    make(tmp_path, *wanted, "b/notes.txt", "jpg", ".png", "g.gif.txt")
    assert [str(path.relative_to(tmp_path)) for path in find_images(tmp_path, refuse)] == wanted


def test_a_file_that_is_named_is_taken_whatever_its_ending(tmp_path: Path) -> None:
    assert list(find_images(tmp_path / "image", refuse)) == [tmp_path / "image"]


def test_a_pipe_is_no_image(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert list(find_images(tmp_path, refuse)) == []


@pytest.fixture
def deep_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """More folders in each other than Python has calls; made and removed one by one."""
    monkeypatch.chdir(tmp_path)
    depth = sys.getrecursionlimit() + 100
    for _ in range(depth):
        Path("d").mkdir()
        os.chdir("d")
    yield tmp_path
    for _ in range(depth):
        os.chdir("..")
        Path("d").rmdir()


def test_folders_may_be_nested_very_deeply(deep_folder: Path) -> None:
    too_long: list[OSError] = []
    assert list(find_images(deep_folder, too_long.append)) == []
    assert all(error.errno == errno.ENAMETOOLONG for error in too_long)


def test_links_to_folders_do_not_lead_in_circles(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert list(find_images(tmp_path, refuse)) == [tmp_path / "a.png"]


def test_a_folder_that_can_not_be_read_is_reported_and_the_walk_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "locked").mkdir()
    (tmp_path / "z.png").touch()
    scandir = os.scandir

    def scandir_as_a_user(path: Path) -> object:  # root may read everything
        if path.name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scandir_as_a_user)
    reported: list[OSError] = []
    assert list(find_images(tmp_path, reported.append)) == [tmp_path / "z.png"]
    assert [error.filename for error in reported] == [str(tmp_path / "locked")]


def test_a_file_that_can_not_be_read_is_an_image_error(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="the file can't be read: No such file"):
        read_file(tmp_path / "nowhere.png")
    with pytest.raises(ImageError, match="the file can't be read: embedded null byte"):
        read_file(Path("a\0b"))


def test_a_link_to_itself_is_reported_and_costs_no_neighbour(tmp_path: Path) -> None:
    for name in ("a.png", "c.png"):
        (tmp_path / name).touch()
    (tmp_path / "b.png").symlink_to(tmp_path / "b.png")
    errors: list[OSError] = []
    assert [path.name for path in find_images(tmp_path, errors.append)] == ["a.png", "c.png"]
    assert [Path(str(error.filename)).name for error in errors] == ["b.png"]


@pytest.mark.usefixtures("no_readers")
def test_every_file_that_is_not_taken_is_counted_by_its_kind(tmp_path: Path) -> None:
    hidden = ("._a.png", ".thumbnails/1/2.png", ".thumbnails/3.png", "b/@eaDir/a.png/S.jpg", "__MACOSX/c.jpg")
    make(tmp_path, "a.png", "b/c.png", *hidden, ".git/x")
    make(tmp_path, "1.heic", "2.HEIF", "3.avif", "4.GIF", "5.gif", "README", "b/x.averylongending")
    (tmp_path / "dangling.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "dangling.txt").symlink_to("nowhere.txt")
    (tmp_path / "link").symlink_to(tmp_path / "b")
    (tmp_path / "link.png").symlink_to(tmp_path / "b")
    os.mkfifo(tmp_path / "pipe.png")
    kinds: Counter[str] = Counter()
    found = find_images(tmp_path, refuse, lambda kind: kinds.update([kind]))
    assert [path.name for path in found] == ["a.png", "c.png"]
    assert kinds == {
        HIDDEN: 6,
        ".heic without pillow-heif": 1,
        ".heif without pillow-heif": 1,
        ".avif without Pillow 11.3": 1,
        ".gif": 2,
        ".txt": 1,
        "without a known ending": 2,
        "linking to nothing": 1,
        "linking to folders": 2,
        "not regular": 1,
    }


def test_a_folder_of_thumbnails_that_is_named_itself_is_read(tmp_path: Path) -> None:
    make(tmp_path, ".thumbnails/a.png")
    assert [path.name for path in find_images(tmp_path / ".thumbnails", refuse)] == ["a.png"]


def test_a_folder_is_in_order_and_each_file_is_told_once_however_many_names_are_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{number:03}{ending}" for number in range(50) for ending in (".png", "/x.jpg", ".txt")]
    make(tmp_path, *sorted(names, key=lambda name: name[::-1]))
    expected = list(find_images(tmp_path, refuse))
    assert len(expected) == 100
    for most in (1, 7, 100, 101):
        monkeypatch.setattr(files, "_MOST_NAMES", most)
        kinds: list[str] = []
        assert list(find_images(tmp_path, refuse, kinds.append)) == expected
        assert kinds == [".txt"] * 50


def test_memory_does_not_grow_with_the_files_of_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_MOST_NAMES", 100)

    def peak(count: int) -> int:
        make(tmp_path, *(f"{number}.png" for number in range(count)))
        tracemalloc.start()
        assert sum(1 for _ in find_images(tmp_path, refuse)) == count
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak_bytes

    peak(10)
    few = peak(200)
    assert peak(2000) < few + 20_000  # a path takes 200 bytes and more


def test_images_are_counted_as_they_are_found(tmp_path: Path) -> None:
    make(tmp_path, "a.png", "b/c.png", "b/d/e.jpg", "._a.png", "@eaDir/x.png", "notes.txt")
    assert list(count_images(tmp_path)) == [1, 2, 3]
    assert list(count_images(tmp_path / "a.png")) == [1]
