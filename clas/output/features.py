"""The features of an image, as they are, of length 1, or as bits; they are no classes."""

import base64

import numpy as np
import numpy.typing as npt

from ..errors import SettingsError
from .base import NO_LABELS, Postprocessor, Prediction, no_classes

Features = npt.NDArray[np.float32]

_BITS: list[int] = [128, 64, 32, 16, 8, 4, 2, 1]


class FeatureOutput(Postprocessor):
    """Answers the outputs as the features of an image.

    Args:
        num_outputs: Features of the model per image.
        as_base64: Answer the base64 of their bytes, which are little-endian, rather than a list.
    """

    def __init__(self, num_outputs: int, *, as_base64: bool) -> None:
        super().__init__(1, num_outputs, NO_LABELS)
        self._as_base64 = as_base64

    def __call__(self, scores: Features, k: int) -> list[Prediction]:  # noqa: ARG002  # all of them
        """Turn features [N, num_outputs] into N results with a feature."""
        features = self.convert(scores)
        if not self._as_base64:
            return [{**no_classes(), "feature": row} for row in features.tolist()]
        rows = features.astype(features.dtype.newbyteorder("<"), copy=False)
        return [{**no_classes(), "feature": base64.b64encode(row.tobytes()).decode("ascii")} for row in rows]

    def convert(self, features: Features) -> npt.NDArray[np.float32 | np.uint8]:
        """Return what is answered of features [N, num_outputs]."""
        return features


class NormalizeFeatures(FeatureOutput):
    """Answers the features divided by their Euclidean length; zeros stay zeros."""

    def class_scores(self, scores: Features) -> Features:
        """Return features [N, num_outputs] as they are answered, for protocols that have scores only."""
        return self.convert(scores)

    def convert(self, features: Features) -> Features:
        """Return features [N, num_outputs] of length 1."""
        lengths = np.sqrt(np.square(features).sum(axis=1, keepdims=True))
        normalized: Features = features / np.where(lengths > 0, lengths, np.float32(1))
        return normalized


class Binarize(FeatureOutput):
    """Answers a bit for each feature, eight in a byte, the first as the highest bit.

    Args:
        num_outputs: As `FeatureOutput`; a multiple of 8.
        method: "sign": whether a feature is above 0; "round": the feature, which is from 0 to 1, rounded.
        as_base64: As `FeatureOutput`.

    Raises:
        SettingsError: The number of features isn't a multiple of 8.
    """

    def __init__(self, num_outputs: int, method: str, *, as_base64: bool) -> None:
        if num_outputs % len(_BITS):
            raise SettingsError(
                f"main_indicator is Binarize, which takes a multiple of 8; the model has {num_outputs}"
            )
        super().__init__(num_outputs, as_base64=as_base64)
        self._method = method

    def convert(self, features: Features) -> npt.NDArray[np.uint8]:
        """Return the bytes [N, num_outputs / 8] of features [N, num_outputs]."""
        if self._method == "sign":
            bits = (features > 0).astype(np.int64)
        else:
            bits = np.round(features + 1).astype(np.int64) - 1
        sums = bits.reshape(len(bits), -1, len(_BITS)) @ np.array(_BITS)
        packed: npt.NDArray[np.uint8] = (sums % 256).astype(np.uint8)  # the original counts in bytes, too
        return packed
