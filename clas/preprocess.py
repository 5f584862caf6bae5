"""The public names for preprocessing of your own, as in `make_preprocess` of test_hubserving.py."""

from .image.crop import CenterCrop, CropAtRatio, Pad
from .image.decode import DecodeImage, Image
from .image.factory import Operation
from .image.normalize import Normalize, NormalizeToCHW, ToCHW, ToGray
from .image.resize import Array, Resize, ResizeShort
from .image.transforms import Compose, create_transforms, normalization, reduced_size

__all__ = [
    "Array",
    "CenterCrop",
    "Compose",
    "CropAtRatio",
    "DecodeImage",
    "Image",
    "Normalize",
    "NormalizeToCHW",
    "Operation",
    "Pad",
    "Resize",
    "ResizeShort",
    "ToCHW",
    "ToGray",
    "create_transforms",
    "normalization",
    "reduced_size",
]
