import os
from pathlib import Path
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

import pytest

from clas.commandline.report.file_link import file_link


@pytest.mark.parametrize(
    "name",
    [
        "a.png",
        "b/c d.png",
        "100%.png",
        "图 片#1?.png",
        "javascript:alert(1).png",
        os.fsdecode(b"caf\xe9.png"),
        "..x/a.png",
    ],
)
def test_a_browser_that_follows_the_link_comes_to_the_file(tmp_path: Path, name: str) -> None:
    for page in (tmp_path / "page.html", tmp_path / "pages" / "page.html", Path("page.html")):
        link = file_link(tmp_path / "images" / name, page)
        address = urljoin(page.absolute().as_uri(), link)
        assert urlsplit(address).scheme == "file"
        assert unquote_to_bytes(urlsplit(address).path) == os.fsencode(tmp_path / "images" / name)


def test_a_page_beside_its_images_can_be_moved_with_them(tmp_path: Path) -> None:
    assert file_link(tmp_path / "images" / "a b.png", tmp_path / "page.html") == "images/a%20b.png"


def test_an_image_may_be_named_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert file_link(Path("images/a.png"), Path("page.html")) == "images/a.png"
