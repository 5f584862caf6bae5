import sys
from collections.abc import Iterator

import pytest

from clas.image.pillow_formats import missing_reader


@pytest.fixture
def no_readers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("pillow_heif", "PIL.AvifImagePlugin"):
        monkeypatch.setitem(sys.modules, name, None)
    missing_reader.cache_clear()
    yield
    missing_reader.cache_clear()
