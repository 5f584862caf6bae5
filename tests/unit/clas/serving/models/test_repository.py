import logging
from pathlib import Path

import pytest

from clas.errors import ModelNotFoundError, NotFoundError
from clas.serving.models.repository import Repository


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A repository of two models, and all else that may lie around in one."""
    directory = tmp_path / "repository"
    for name in ("rose", "lily", ".hidden", "a name", "x" * 65, "röse"):
        (directory / name).mkdir(parents=True)
    (directory / "notes.txt").write_text("no folder")
    (tmp_path / "elsewhere").mkdir()
    (directory / "out").symlink_to(tmp_path / "elsewhere")
    (directory / "above").symlink_to("..")
    (directory / "loop").symlink_to("loop")
    (directory / "nowhere").symlink_to("gone")
    return directory


def test_its_folders_are_its_models_by_name(directory: Path) -> None:
    folders = Repository(directory).folders()
    assert list(folders.items()) == [("lily", directory / "lily"), ("rose", directory / "rose")]


def test_what_is_there_and_not_served_is_said(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "clas_system"):
        Repository(directory).folders()
    no_name = "that can't be the name of a model"
    outside = "it leads out of model_repository"
    reasons = {"a name": no_name, "röse": no_name, "x" * 65: no_name, "above": outside, "out": outside}
    assert sorted(caplog.messages) == sorted(
        f"the folder {name!r} isn't served: {reason}" for name, reason in reasons.items()
    )


def test_a_folder_is_found_by_its_name(directory: Path) -> None:
    assert Repository(directory).folder("rose") == directory / "rose"


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", ".hidden", "a name", "x" * 65, "röse", "rose/", "/rose", "./rose", "rose/.."),
        *("../repository/rose", "../elsewhere", "..\\elsewhere", "~", "rose\0", "rose\n", "*"),
        *("none", "notes.txt", "out", "above", "loop", "nowhere"),
    ],
)
def test_what_is_no_folder_in_it_is_refused_whatever_it_is_called(directory: Path, name: str) -> None:
    with pytest.raises(NotFoundError, match=r"there is no model '.*' in the repository"):
        Repository(directory).folder(name)


def test_an_absolute_path_is_no_name(directory: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        Repository(directory).folder(str(tmp_path / "elsewhere"))
    assert len(str(caught.value)) < 200


def test_links_within_it_and_to_it_are_followed(directory: Path, tmp_path: Path) -> None:
    """As tools make them that exchange a folder at once, and mount points."""
    (directory / "current").symlink_to("rose")
    (tmp_path / "link").symlink_to(directory)
    repository = Repository(tmp_path / "link")
    assert list(repository.folders()) == ["current", "lily", "rose"]
    assert repository.folder("current") == tmp_path / "link" / "current"


def test_models_may_come_and_go(directory: Path) -> None:
    repository = Repository(directory)
    assert "iris" not in repository.folders()
    (directory / "iris").mkdir()
    assert "iris" in repository.folders()
    assert repository.folder("iris").is_dir()
    (directory / "iris").rmdir()
    assert "iris" not in repository.folders()
    with pytest.raises(NotFoundError):
        repository.folder("iris")


@pytest.mark.parametrize(
    ("name", "reason"), [("none", "No such file or directory"), ("notes.txt", "Not a directory")]
)
def test_a_repository_that_is_no_folder_is_refused(directory: Path, name: str, reason: str) -> None:
    repository = Repository(directory / name)
    with pytest.raises(
        ModelNotFoundError, match=f"model_repository {directory}/{name} can't be read: {reason}"
    ):
        repository.folders()
    with pytest.raises(NotFoundError):
        repository.folder("rose")
