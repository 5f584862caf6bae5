import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clas.output.features import Binarize, FeatureOutput, NormalizeFeatures

FEATURES = np.random.default_rng(3).standard_normal((4, 16)).astype(np.float32)


def bytes_of(feature: object) -> bytes:
    assert isinstance(feature, str)
    return base64.b64decode(feature, validate=True)


def test_features_are_answered_as_they_are_and_never_as_classes() -> None:
    for row, entry in zip(FEATURES, FeatureOutput(16, as_base64=False)(FEATURES, 1), strict=True):
        assert entry == {"class_ids": [], "scores": [], "label_names": [], "feature": row.tolist()}
    for row, entry in zip(FEATURES, FeatureOutput(16, as_base64=True)(FEATURES, 1), strict=True):
        assert bytes_of(entry["feature"]) == row.astype("<f4").tobytes()


def test_512_features_take_2_7_kilobytes_in_base64() -> None:
    [entry] = FeatureOutput(512, as_base64=True)(np.ones((1, 512), np.float32), 1)
    assert len(str(entry["feature"])) == 2732


@pytest.mark.parametrize("as_base64", [False, True])
def test_normalized_features_have_length_1_and_zeros_stay_zeros(as_base64: bool) -> None:
    features = np.concatenate([FEATURES, np.zeros((1, 16), np.float32)])
    exact = features.astype(np.float64)
    exact[:-1] /= np.linalg.norm(exact[:-1], axis=1, keepdims=True)
    entries = NormalizeFeatures(16, as_base64=as_base64)(features, 1)
    found = [
        np.frombuffer(bytes_of(entry["feature"]), "<f4") if as_base64 else entry["feature"]
        for entry in entries
    ]
    np.testing.assert_allclose(np.array(found), exact, atol=1e-6)


@pytest.mark.parametrize("method", ["round", "sign"])
@pytest.mark.parametrize("as_base64", [False, True])
@given(row=st.lists(st.floats(0, 1, width=32), min_size=24, max_size=24))
def test_bits_are_packed_with_the_first_as_the_highest(
    method: str, as_base64: bool, row: list[float]
) -> None:
    x = np.array([row], np.float32)
    bits = (np.round(x + 1) - 1 if method == "round" else x > 0).astype(np.uint8)
    [entry] = Binarize(24, method, as_base64=as_base64)(x, 1)
    wanted = np.packbits(bits, axis=1, bitorder="big")[0]
    assert (list(bytes_of(entry["feature"])) if as_base64 else entry["feature"]) == wanted.tolist()


def test_the_sign_of_any_number_is_a_bit() -> None:
    [entry] = Binarize(8, "sign", as_base64=False)(np.array([[-1, 2, 0, 3, -4, -5, 6, 0]], np.float32), 1)
    assert entry["feature"] == [0b01010010]


def test_normalized_features_are_what_other_protocols_have_as_scores() -> None:
    features = np.array([[3, 4]], np.float32)
    scores = NormalizeFeatures(2, as_base64=False).class_scores(features)
    np.testing.assert_allclose(scores, [[0.6, 0.8]], rtol=1e-6)
