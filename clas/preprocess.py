"""The public names for preprocessing of your own, as in `make_preprocess` of test_hubserving.py."""

from .image.transforms import (
    Array,
    CenterCrop,
    Compose,
    DecodeImage,
    Image,
    Normalize,
    NormalizeToCHW,
    Operation,
    Resize,
    ResizeShort,
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
