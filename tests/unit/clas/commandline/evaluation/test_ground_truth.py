from pathlib import Path

import pytest

from clas.commandline.evaluation.errors import EvaluationError
from clas.commandline.evaluation.ground_truth import FolderTruth, ListedTruth, locate_below, locate_in
from clas.commandline.evaluation.truth_file import Kind

IMAGES = Path("images")


def listed(file: Path, root: Path) -> ListedTruth:
    return ListedTruth(file, locate_in(root))


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    "line",
    [
        "sub/a b.png 7",
        "./sub//a b.png\t7",
        "val/sub/a b.png 7",
        "data/val/sub/a b.png  7  ",
        "{root}/sub/a b.png 7",
        "\ufeffsub/a b.png 7\r",
    ],
)
def test_a_path_may_be_written_in_several_ways(tmp_path: Path, line: str) -> None:
    root = tmp_path / "data" / "val"
    truth = listed(write(tmp_path / "labels.txt", line.format(root=root) + "\n\n"), root)
    assert truth.of("sub/a b.png") == 7
    assert truth.of("a b.png") is None


def test_a_path_may_start_at_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    labels = write(tmp_path / "lists" / "labels.txt", "data/val/a.png 7\n")
    for root in (Path("data/val"), tmp_path / "data" / "val"):
        assert listed(labels, root).of("a.png") == 7


def test_the_name_from_the_folder_on_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    truth = listed(write(tmp_path / "labels.txt", "images/a.png 1\na.png 2\n"), IMAGES)
    assert truth.of("a.png") == 2


def test_a_path_that_is_there_twice_with_one_class_is_fine(tmp_path: Path) -> None:
    truth = listed(write(tmp_path / "labels.txt", "a.png 1\na.png 1\n"), IMAGES)
    assert truth.of("a.png") == 1


def test_a_path_may_run_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk" / "sets" / "images").mkdir(parents=True)
    (tmp_path / "data").symlink_to("disk")
    root = tmp_path / "data" / "sets" / "images"
    for line in ("sets/images/0.png 3", f"{tmp_path}/data/sets/images/0.png 3"):
        labels = write(tmp_path / "disk" / "labels.txt", line)
        for file in (labels, tmp_path / "data" / "labels.txt"):
            assert listed(file, root).of("0.png") == 3


def test_an_image_is_found_below_any_of_the_given_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("one", "two/sub"):
        Path(folder).mkdir(parents=True)
    Path("alone.png").touch()
    labels = write(tmp_path / "lists" / "labels.txt", "a.png 1\nsub/b.png 2\nalone.png 3\n")
    truth = ListedTruth(labels, locate_below([Path("one"), Path("two"), Path("alone.png")]))
    assert [truth.of(name) for name in ("one/a.png", "two/sub/b.png", "alone.png", "two/c.png")] == [
        1,
        2,
        3,
        None,
    ]


def test_listed_images_that_were_not_asked_for_are_counted(tmp_path: Path) -> None:
    truth = listed(write(tmp_path / "labels.txt", "a.png 1\nb.png 2\nimages/a.png 3\nc.png 4\n"), IMAGES)
    assert truth.num_unused() == 4
    for name in ("a.png", "a.png", "unlisted.png", "c.png"):
        truth.of(name)
    assert truth.num_unused() == 2


def folders(root: Path, *names: str) -> FolderTruth:
    for name in names:
        (root / name).mkdir(parents=True)
    return FolderTruth([root], locate_in(root))


def test_the_folder_of_an_image_is_its_class(tmp_path: Path) -> None:
    truth = folders(tmp_path, "cat", "dog/puppies", ".thumbnails", "@eaDir", "__MACOSX")
    assert truth.kind is Kind.NAME
    names = ("cat/a.png", "dog/puppies/b.png", "c.png", ".thumbnails/d.png", "__MACOSX/e.png")
    assert [truth.of(name) for name in names] == ["cat", "dog", None, None, None]
    assert truth.num_unused() == 0


def test_folders_that_are_all_numbers_are_ids(tmp_path: Path) -> None:
    truth = folders(tmp_path / "ids", "0", "007", "10")
    assert (truth.kind, truth.of("007/a.png")) == (Kind.ID, 7)
    truth = folders(tmp_path / "names", "0", "1", "other")
    assert (truth.kind, truth.of("0/a.png")) == (Kind.NAME, "0")


def test_without_folders_there_is_no_class(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(
        EvaluationError, match="has no folders; --labels_from_folders takes one for each class"
    ):
        folders(tmp_path)
    with pytest.raises(EvaluationError, match=r"nowhere can't be read: No such file or directory"):
        folders(tmp_path / "nowhere")
