"""The public names for preprocessing of your own, as in `make_preprocess` of test_hubserving.py."""

from .image.decode import DecodeImage, Image
from .image.resize import Array, CenterCrop, Resize, ResizeShort
from .image.transforms import (
    Compose,
    Normalize,
    NormalizeToCHW,
    Operation,
    ToCHW,
    create_transforms,
    normalization,
    reduced_size,
)

__all__ = [
    "Array",
    "CenterCrop",
    "Compose",
    "DecodeImage",
    "Image",
    "Normalize",
    "NormalizeToCHW",
    "Operation",
    "Resize",
    "ResizeShort",
    "ToCHW",
    "create_transforms",
    "normalization",
    "reduced_size",
]
