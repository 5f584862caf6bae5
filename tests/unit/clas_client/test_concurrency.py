from pathlib import Path
from typing import Any

import pytest

from clas_client.concurrency import choose_concurrency
from clas_client.settings import ClientSettings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(100):
        (tmp_path / f"{number}.png").touch()
    return tmp_path


def settings(folder: Path, **values: Any) -> ClientSettings:
    return ClientSettings(server_url="", image_file=folder, **values)


@pytest.mark.parametrize(("predictors", "expected"), [(1, 3), (2, 4), (8, 10), (14, 16), (64, 16)])
def test_a_standalone_server_gets_two_more_than_it_computes_at_once(
    folder: Path, predictors: int, expected: int
) -> None:
    assert choose_concurrency(settings(folder), predictors) == expected


def test_a_server_that_does_not_describe_itself_gets_one_after_the_other(folder: Path) -> None:
    assert choose_concurrency(settings(folder), None) == 1


@pytest.mark.parametrize("predictors", [None, 1, 64])
def test_what_is_given_is_kept(folder: Path, predictors: int | None) -> None:
    assert choose_concurrency(settings(folder, concurrency=50), predictors) == 50


@pytest.mark.parametrize(
    ("batch_size", "expected"),
    [(1, 10), (10, 10), (20, 5), (50, 2), (60, 2), (99, 2), (100, 1), (5000, 1)],
)
def test_there_are_no_more_than_there_are_batches_nor_than_memory_for_their_images(
    folder: Path, batch_size: int, expected: int
) -> None:
    assert choose_concurrency(settings(folder, batch_size=batch_size), 8) == expected


def test_one_image_is_one_request(folder: Path) -> None:
    assert choose_concurrency(settings(folder / "0.png"), 8) == 1
    assert choose_concurrency(settings(folder / "nothing"), 8) == 1
