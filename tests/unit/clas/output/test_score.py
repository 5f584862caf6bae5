import numpy as np
import pytest

from clas.output.score import ScoreOutput


@pytest.mark.parametrize(("places", "value"), [(0, -12.0), (2, -12.35), (4, -12.3457)])
def test_a_regressions_number_is_rounded_and_has_no_classes(places: int, value: float) -> None:
    [entry] = ScoreOutput(1, places)(np.array([[-12.345678]], np.float32), 1)
    assert entry == {"class_ids": [], "scores": [], "label_names": [], "value": value}
    assert type(entry["value"]) is float
