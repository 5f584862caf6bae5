from pathlib import Path

from clas.output.base import failed_prediction
from evaluations import entry, evaluate


def test_an_image_is_right_if_its_best_class_is_the_true_one(tmp_path: Path) -> None:
    evaluation = evaluate(tmp_path, {"a.png": 3}, {})
    assert evaluation.judge("a.png", entry(3, 1)) == (3, True)
    assert evaluation.judge("a.png", entry(1, 3)) == (3, False)
    assert evaluation.judge("a.png", entry()) == (3, False)
    assert evaluation.judge("a.png", failed_prediction("damaged")) == (3, None)
    assert evaluation.judge("b.png", entry(3)) == (None, None)
    assert evaluation.images == 0


def test_classes_may_be_given_by_name(tmp_path: Path) -> None:
    evaluation = evaluate(tmp_path, {"a.png": "class 3"}, {})
    assert evaluation.judge("a.png", entry(3, names=True)) == ("class 3", True)
    assert evaluation.judge("a.png", entry(1, 3, names=True)) == ("class 3", False)
    assert evaluation.judge("a.png", entry(3)) == ("class 3", None)
    evaluation.add("a.png", entry(3))
    assert (evaluation.num_nameless, evaluation.images) == (1, 0)


def test_labels_are_right_if_all_are(tmp_path: Path) -> None:
    evaluation = evaluate(tmp_path, {"a.png": "1,0,1"}, {"a.png": entry(2, 0)})
    assert evaluation.judge("a.png", entry(2, 0)) == ((0, 2), True)
    assert evaluation.judge("a.png", entry(0)) == ((0, 2), False)
    assert evaluation.judge("a.png", entry(0, 1, 2)) == ((0, 2), False)
    assert evaluation.judge("a.png", entry(0)).shown == "[0, 2]"
    assert evaluation.multi is not None
    assert (evaluation.images, evaluation.multi.exact) == (1, 1)


def test_what_can_not_be_compared_is_counted_apart(tmp_path: Path) -> None:
    results = {"a.png": failed_prediction("damaged"), "b.png": entry(1), "c.png": failed_prediction("")}
    evaluation = evaluate(tmp_path, {"a.png": 1}, results)
    assert (evaluation.images, evaluation.num_failed, evaluation.num_unknown) == (0, 1, 1)


def test_a_class_has_the_name_that_answers_give(tmp_path: Path) -> None:
    evaluation = evaluate(tmp_path, {"a.png": 1}, {"b.png": entry(2, 4, names=True)})
    assert [evaluation.title(key) for key in (4, 5, "cat", None)] == ["4 class 4", "5", "cat", "(no class)"]
