from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from model_folders import put_model
from served import ADMIN_TOKEN
from tiny_models import exchanged_channels, write_model


@pytest.fixture(scope="session")
def exchanged_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny_model`, but for red images it answers 2, and for blue ones 0."""
    return write_model(tmp_path_factory.mktemp("exchanged"), exchanged_channels)


@pytest.fixture
def flowers(tmp_path: Path, tiny_model: Path, exchanged_model: Path) -> Path:
    """A repository of two models; to red images `rose` answers 0 and `lily` 2."""
    directory = tmp_path / "flowers"
    put_model(directory / "rose", tiny_model)
    put_model(directory / "lily", exchanged_model)
    return directory


@pytest.fixture
def control(tmp_path: Path) -> dict[str, Any]:
    """Options with which models may be loaded and unloaded on request; see `Served.control`."""
    file = tmp_path / "admin_tokens.txt"
    file.write_text(ADMIN_TOKEN)
    return {"model_control": True, "admin_token_file": str(file)}


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Clients that wait for their answers."""
    with ThreadPoolExecutor(16) as threads:
        yield threads
