from collections.abc import Iterator
from pathlib import Path

import pytest

from clas.classifier import Classifier
from clas.commandline.batches import classify_in_batches
from clas.errors import ImageError
from clas.image.files import read_file
from clas.image.sources import ImageSource
from clas.settings import Settings


@pytest.fixture(scope="module")
def classifier(tiny_model: Path) -> Classifier:
    return Classifier(
        Settings(inference_model_dir=str(tiny_model), resize_short=32, crop_size=32, class_id_map_file=None)
    )


def refuse() -> bytes:
    raise ImageError("it is gone")


def test_images_are_read_no_more_than_a_batch_ahead_of_the_results(
    classifier: Classifier, photographs: Path
) -> None:
    """So that a folder of any size takes no more memory than one batch."""
    taken: list[int] = []
    loaded: list[int] = []

    def source(number: int) -> ImageSource:
        def load() -> bytes:
            loaded.append(number)
            return read_file(photographs / "rocket.jpg")

        return ImageSource(str(number), load)

    def endless() -> Iterator[ImageSource]:
        while True:
            taken.append(len(taken))
            yield source(taken[-1])

    batches = classify_in_batches(classifier, endless(), 3, 1)
    assert not taken
    for number in range(1, 4):
        batch = next(batches)
        assert [answered.name for answered in batch] == [str(n) for n in range(3 * number - 3, 3 * number)]
        assert taken == loaded == list(range(3 * number))


def test_a_batch_in_which_nothing_can_be_read_is_answered_too(classifier: Classifier) -> None:
    [batch] = classify_in_batches(classifier, [ImageSource("a", refuse), ImageSource("b", refuse)], 8)
    assert [(name, prediction["error"]) for name, prediction in batch] == [
        ("a", "it is gone"),
        ("b", "it is gone"),
    ]


def test_a_failure_in_the_middle_does_not_shift_the_results(
    classifier: Classifier, photographs: Path
) -> None:
    good = ImageSource("good", lambda: read_file(photographs / "rocket.jpg"))
    other = ImageSource("other", lambda: read_file(photographs / "coffee.png"))
    alone = [classify_in_batches(classifier, [source], 1) for source in (good, other)]
    expected = [next(batches)[0] for batches in alone]
    [batch] = classify_in_batches(classifier, [good, ImageSource("bad", refuse), other], 8)
    assert [batch[0], batch[2]] == expected
    assert expected[0].prediction != expected[1].prediction
