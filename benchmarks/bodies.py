"""Ready-made requests, each with the classes that must come first in its answer."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import numpy as np
import sample_images

from clas.classifier import Classifier
from clas.image.decode import DecodeImage
from clas.image.transforms import create_transforms
from clas.protocol import OPERATIONS, files_body, tensor_body

Form = Literal["float32", "uint8", "encoded", "file"]
"""The client's three, and one image file as the body."""

_MARGIN: Final = 0.2
"""The best class of an image is this far ahead of the next one, so that bfloat16 can't exchange them."""
_JSON: Final = "application/json"


@dataclasses.dataclass(frozen=True)
class LabeledImage:
    """An image file (JPEG), and its class."""

    file: bytes
    class_id: int


@dataclasses.dataclass(frozen=True)
class Body:
    """A request, and the first class of each image in it.

    Attributes:
        content_type: The header of this name.
        data: The body.
        class_ids: In the order of the images.
    """

    content_type: str
    data: bytes
    class_ids: Sequence[int]


def clear_images(classifier: Classifier, count: int) -> list[LabeledImage]:
    """Return images whose class is beyond doubt.

    Args:
        classifier: Determines the class, in fp32.
        count: How many.
    """
    found: list[LabeledImage] = []
    for image in sample_images.varied(20 * count, seed=1):
        file = sample_images.jpeg(image)
        prediction = classifier.classify_images([file], top_k=2)[0]
        best, second = prediction["scores"]
        if best - second > _MARGIN:
            found.append(LabeledImage(file, prediction["class_ids"][0]))
        if len(found) == count:
            return found
    raise ValueError(f"only {len(found)} of {20 * count} images are clear enough; {count} were wanted")


def make_bodies(form: Form, clear: Sequence[LabeledImage], batch_size: int) -> list[Body]:
    """Put images into requests of `batch_size`; `file` takes one."""
    groups = [clear[start : start + batch_size] for start in range(0, len(clear), batch_size)]
    return [_make_body(form, group) for group in groups]


def write_bodies(directory: Path, bodies: Sequence[Body]) -> None:
    """Write what wrk.lua reads."""
    directory.mkdir(parents=True)
    lines = []
    for number, body in enumerate(bodies):
        (directory / str(number)).write_bytes(body.data)
        lines.append(f"{number}\t{body.content_type}\t{','.join(map(str, body.class_ids))}\n")
    (directory / "index").write_text("".join(lines), "ascii")


def _make_body(form: Form, group: Sequence[LabeledImage]) -> Body:
    class_ids = [image.class_id for image in group]
    files = [image.file for image in group]
    if form == "file":
        (file,) = files
        return Body("image/jpeg", file, class_ids)
    if form == "encoded":
        return Body(_JSON, files_body(files), class_ids)
    is_float = form == "float32"
    transforms = create_transforms(normalize=is_float, to_chw=is_float)
    batch = np.stack([transforms(DecodeImage()(file)) for file in files])
    return Body(_JSON, tensor_body(batch, () if is_float else OPERATIONS), class_ids)
