import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from clas.classifier import Classifier
from clas.errors import ImageError
from clas.image.decode import Image
from clas.serving.on_ray.batch import ahead
from clas.serving.on_ray.batch.ahead import classify_ahead
from clas.serving.on_ray.batch.reading import Waiting
from tiny_models import numbered_batch


@pytest.fixture(scope="module")
def classifier(numbering_model: Path) -> Classifier:
    return Classifier.open(numbering_model, crop_size=32, resize_short=32, class_id_map_file="", topk=1)


def png(number: int) -> bytes:
    image = np.moveaxis(numbered_batch(number)[0], 0, -1)[:, :, ::-1]
    return cv2.imencode(".png", np.uint8(255) * image.astype(np.uint8))[1].tobytes()


def images(count: int) -> Iterator[Waiting]:
    for number in range(count):
        yield Waiting(str(number), partial(png, number))


def refuse() -> bytes:
    raise ImageError("there is none")


@pytest.mark.parametrize("threads", [1, 3])
def test_each_image_has_its_result_in_order(classifier: Classifier, threads: int) -> None:
    sources = [*images(50)]
    sources[7] = Waiting("7", refuse)
    sources[9] = Waiting("9", lambda: b"no image")
    found = [answer for batch in classify_ahead(classifier, sources, threads) for answer in batch]
    assert [answer.name for answer in found] == [str(number) for number in range(50)]
    failed = {answer.name: answer.prediction.get("error") for answer in found if "error" in answer.prediction}
    assert failed == {
        "7": "there is none",
        "9": "the image can't be decoded: it is none of JPEG, PNG, BMP, WEBP, TIFF",
    }
    assert all(answer.prediction["class_ids"] in ([], [int(answer.name)]) for answer in found)


def test_images_are_taken_a_few_batches_ahead(classifier: Classifier) -> None:
    taken = 0

    def count() -> Iterator[Waiting]:
        nonlocal taken
        for source in images(1000):
            taken += 1
            yield source

    next(classify_ahead(classifier, count(), 2))
    assert taken <= 4 * classifier.max_batch_size


def test_a_storage_that_does_not_answer_ends_it(classifier: Classifier) -> None:
    def fail() -> bytes:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        list(classify_ahead(classifier, [*images(20), Waiting("x", fail), *images(20)], 2))


def test_one_large_image_is_decoded_at_a_time(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "LARGE_PIXELS", 1000)
    lock, decoding, most = threading.Lock(), 0, 0

    def decode(data: bytes, max_pixels: int) -> Image:  # noqa: ARG001
        nonlocal decoding, most
        with lock:
            decoding += 1
            most = max(most, decoding)
        time.sleep(0.002)
        image: Image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)  # type: ignore[assignment]
        with lock:
            decoding -= 1
        return image

    monkeypatch.setattr(ahead, "own_image", decode)
    found = [answer for batch in classify_ahead(classifier, images(40), 4) for answer in batch]
    assert [answer.prediction["class_ids"] for answer in found] == [[number] for number in range(40)]
    assert most == 1


def test_a_batch_of_large_files_is_short(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_MOST_BYTES", 100)
    sources = [Waiting(str(number), lambda: png(1), 60) for number in range(6)]
    assert [len(batch) for batch in classify_ahead(classifier, sources, 1)] == [2, 2, 2]
