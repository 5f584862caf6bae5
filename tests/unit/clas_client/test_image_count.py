from pathlib import Path

from clas_client.image_count import ImageCount


def test_the_images_of_a_folder_are_counted_beside_the_run(tmp_path: Path) -> None:
    for name in ("a.png", "b.jpg", "notes.txt", "._a.png"):
        (tmp_path / name).touch()
    count = ImageCount(tmp_path)
    count.wait(10)
    assert (count.found, count.is_complete) == (2, True)


def test_one_image_is_one(tmp_path: Path) -> None:
    count = ImageCount(tmp_path / "a.png")
    count.wait(10)
    assert (count.found, count.is_complete) == (1, True)
