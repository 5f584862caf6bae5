"""What `python -m clas check` sends: the same images in all three forms of the wire."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ...errors import ImageError, RequestError
from ...image.conversion import converted
from ...image.decode import DecodeImage
from ...image.layout import is_channels_last
from ...image.model_input import ModelInput
from ...image.transforms import create_transforms
from ...protocol import OPERATIONS, files_body, tensor_body
from ...settings import Settings
from ..trial.images import TrialImages, noise

FLOAT32: Final = "float32"
UINT8: Final = "uint8"
ENCODED: Final = "encoded"
FORMS: Final = (FLOAT32, UINT8, ENCODED)


class Inputs(NamedTuple):
    """The same images in each form.

    Attributes:
        tensor: As the model takes them, float32.
        pixels: [N, H, W, 3] uint8, resized; None if the model takes no images.
        files: The image files; likewise.
        operations: What is left to the server with pixels.
        failures: A line for each image that can't be decoded, and was left out.
    """

    tensor: npt.NDArray[np.float32]
    pixels: npt.NDArray[np.uint8] | None
    files: Sequence[bytes] | None
    operations: Sequence[str]
    failures: Sequence[str]

    def bodies(self, size: int) -> dict[str, list[bytes]]:
        """Return the bodies of requests with `size` images each, for each form."""
        starts = range(0, len(self.tensor), size)
        found = {FLOAT32: [tensor_body(self.tensor[start : start + size]) for start in starts]}
        if self.pixels is not None and self.files is not None:
            found[UINT8] = [
                tensor_body(self.pixels[start : start + size], self.operations) for start in starts
            ]
            found[ENCODED] = [files_body(self.files[start : start + size]) for start in starts]
        return found


def prepare_inputs(images: TrialImages, settings: Settings, model: Mapping[str, Any]) -> Inputs:
    """Prepare images as a client does.

    Args:
        images: The images.
        settings: Those of the model.
        model: What `GET /` says of it.

    Raises:
        RequestError: None of the images can be decoded, or the model doesn't take images of this shape.
        SettingsError: The model's normalization can't be left to the server.
    """
    shape, dtype = tuple(model["input_shape"]), model["input_dtype"]
    model_input = ModelInput(settings, shape, dtype)
    if model_input.warning and not images.files:
        values = [noise(number, shape, dtype) for number in range(images.count)]
        return Inputs(np.concatenate(values), None, None, (), ())
    decode = DecodeImage(settings.max_image_pixels)
    transforms = create_transforms(
        settings.resize_short, settings.crop_size, normalize=False, to_chw=False, settings=settings
    )
    files: list[bytes] = []
    pixels: list[npt.NDArray[Any]] = []
    failures: list[str] = []
    for source in images.sources():
        try:
            file = converted(source.load())
            image = transforms(decode(file))
        except ImageError as exc:
            failures.append(f"{source.name}: {exc}")
            continue
        if pixels and image.shape != pixels[0].shape:
            failures.append(f"{source.name}: after resizing it has another size than the first image")
            continue
        pixels.append(image)
        files.append(file)
    if not files:
        raise RequestError(f"none of the images can be decoded: {failures[0]}")
    operations = OPERATIONS[:1] if is_channels_last(shape) else OPERATIONS
    [tensor] = model_input.of_images(files).tensors
    return Inputs(tensor, np.stack(pixels).astype(np.uint8, copy=False), files, operations, failures)
