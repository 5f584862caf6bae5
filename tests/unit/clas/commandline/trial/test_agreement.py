import base64

import numpy as np
import pytest

from clas.commandline.trial.agreement import Agreement, compare_predictions, compare_scores
from clas.errors import PredictionError
from clas.output.base import Prediction, failed_prediction


def scores(*rows: list[float]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.array(rows, np.float32)


def prediction(*scored: tuple[int, float]) -> Prediction:
    return {
        "class_ids": [class_id for class_id, _ in scored],
        "scores": [score for _, score in scored],
        "label_names": [],
    }


def test_scores_are_compared_image_by_image() -> None:
    found = compare_scores(
        scores([0.5, 0.3, 0.2], [0.2, 0.4, 0.4]), scores([0.6, 0.2, 0.2], [0.2, 0.39, 0.41])
    )
    assert (found.images, found.same_best, found.clear, found.same_clear) == (2, 1, 1, 1)
    assert found.largest_difference == pytest.approx(0.1)
    assert found.largest_score == pytest.approx(0.6)


def test_a_model_with_one_score_has_no_clear_best() -> None:
    found = compare_scores(scores([0.5], [0.3]), scores([0.5], [0.3]))
    assert (found.same_best, found.clear) == (2, 0)


def test_scores_of_another_model_can_not_be_compared() -> None:
    with pytest.raises(PredictionError, match=r"the scores are \[1, 3\], those to compare with \[1, 2\]"):
        compare_scores(scores([0.1, 0.2, 0.3]), scores([0.1, 0.2]))


def test_results_are_compared_class_by_class() -> None:
    answers = [prediction((3, 0.5), (1, 0.05)), prediction((2, 0.4), (0, 0.3)), prediction()]
    reference = [prediction((3, 0.5), (2, 0.1)), prediction((0, 0.36), (2, 0.35)), failed_prediction("why")]
    found = compare_predictions(answers, reference)
    assert (found.images, found.same_best, found.clear, found.same_clear) == (3, 2, 1, 1)
    assert found.largest_difference == pytest.approx(0.06 - 1e-5)
    assert found.largest_score == 0.5


def test_a_class_that_the_reference_does_not_name_has_a_low_score_there() -> None:
    def difference(*scored: tuple[int, float]) -> float:
        return compare_predictions([prediction(*scored)], [prediction((3, 0.5), (2, 0.1))]).largest_difference

    assert difference((3, 0.5), (4, 0.3)) == pytest.approx(0.2 - 1e-5)
    assert difference((3, 0.5), (4, 0.08)) == 0
    assert difference((4, 0.5), (3, 0.5)) == pytest.approx(0.5 - 1e-5)


def test_what_rounding_explains_is_no_difference() -> None:
    found = compare_predictions([prediction((0, 0.00101))], [prediction((0, 0.001))])
    assert found.holds("fp32")


@pytest.mark.parametrize(
    ("precision", "agreement", "holds"),
    [
        ("fp32", Agreement(100, 100, 0, 0, 0.0009, 0.9), True),
        ("fp32", Agreement(100, 100, 0, 0, 0.00091, 0.9), False),
        ("bf16", Agreement(100, 99, 0, 0, 0.2, 0.9), True),
        ("bf16", Agreement(100, 98, 0, 0, 0.0, 0.9), False),
    ],
)
def test_fp32_agrees_by_its_scores_and_any_other_precision_by_the_best_class(
    precision: str, agreement: Agreement, holds: bool
) -> None:
    assert agreement.holds(precision) is holds


def test_numbers_and_features_are_compared_one_by_one() -> None:
    def result(**own: object) -> Prediction:
        return {**prediction(), **own}  # type: ignore[typeddict-item]  # of any form

    found = compare_predictions([result(value=2.5)], [result(value=-2.0)])
    assert [found.largest_difference, found.largest_score] == pytest.approx([4.5 - 1e-5, 2.0])
    features = [np.array(row, "<f4") for row in ([0.5, -4, 1], [0.5, -4, 1.25])]
    texts = [base64.b64encode(row.tobytes()).decode() for row in features]
    for answer, wanted in (features[0].tolist(), features[1].tolist()), texts:
        found = compare_predictions([result(feature=answer)], [result(feature=wanted)])
        assert [found.largest_difference, found.largest_score] == pytest.approx([0.25 - 1e-5, 4])
        assert compare_predictions([result(feature=wanted)], [result(feature=wanted)]).holds("fp32")
