from typing import Any

import numpy as np
import pytest

from clas.errors import SettingsError
from clas.image.eight_bit import are_levels, check_unchanged
from clas.image.normalize import Normalize

UNCHANGED: dict[str, Any] = {"mean": (0, 0, 0), "std": (1.0, 1.0, 1.0), "scale": 1}


def test_settings_that_leave_pixels_as_they_are_pass() -> None:
    check_unchanged(Normalize(**UNCHANGED))


@pytest.mark.parametrize("change", [{"mean": (0, 0, 1)}, {"std": (1, 1, 2)}, {"scale": 1 / 255}])
def test_settings_that_normalize_are_refused_with_the_remedy(change: dict[str, Any]) -> None:
    with pytest.raises(
        SettingsError, match=r"takes pixels \(uint8\), but the settings normalize them: mean is \[0, "
    ):
        check_unchanged(Normalize(**{**UNCHANGED, **change}))


@pytest.mark.parametrize(
    ("value", "is_level"), [(0, True), (255, True), (0.5, False), (-1, False), (256, False)]
)
def test_levels_are_whole_and_fit_a_byte(value: float, is_level: bool) -> None:
    assert are_levels(np.full((1, 2), value, np.float32)) is is_level
    assert are_levels(np.empty((0, 2), np.float32))
