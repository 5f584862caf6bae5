from pathlib import Path

from clas.commandline.evaluation.notes import notes_of
from clas.output.base import failed_prediction
from evaluations import entry, evaluate


def test_there_is_nothing_to_say_if_all_could_be_counted(tmp_path: Path) -> None:
    for num_classes in (None, 10):
        assert notes_of(evaluate(tmp_path, {"a.png": 3}, {"a.png": entry(3, 1, 2, 4, 5)}, num_classes)) == []


def test_images_that_do_not_count_are_told(tmp_path: Path) -> None:
    truths = {"a.png": 3, "b.png": 3, "c.png": 3, "d.png": 3}
    results = {"a.png": failed_prediction("damaged"), "x.png": entry(1), "y.png": entry(2)}
    assert notes_of(evaluate(tmp_path, truths, results)) == [
        f"{tmp_path}/truth.txt has no class for 2 answered images, which don't count",
        "1 images with a true class have no result, and don't count",
        f"{tmp_path}/truth.txt has 3 images that didn't occur in this run",
    ]


def test_ids_that_the_model_does_not_have_are_told(tmp_path: Path) -> None:
    truths = {f"{number}.png": number for number in range(1, 21)}
    results = {name: entry(0, 1, 2, 3, 4) for name in truths}
    [note] = notes_of(evaluate(tmp_path, truths, results, 10))
    assert note == (
        "the model has the class ids 0 to 9, but not 10, 11, 12, 13, 14 and 6 more, of 11 images, which "
        "count as wrong: are the true ids counted from 1?"
    )
    assert notes_of(evaluate(tmp_path, truths, results)) == []  # it isn't known how many there are


def test_names_that_no_answer_has_are_told(tmp_path: Path) -> None:
    truths = {"a.png": "class 3", "b.png": "clas 3", "c.png": "clas 3"}
    results = {name: entry(3, 1, 2, 4, 5, names=True) for name in truths}
    [note] = notes_of(evaluate(tmp_path, truths, results))
    assert note == "no answer names the class 'clas 3', of 2 images, which count as wrong"


def test_names_of_several_classes_are_told(tmp_path: Path) -> None:
    crane = entry(134, 517, 1, 2, 3, names=True)
    crane["label_names"][:2] = ["crane", "crane"]
    assert notes_of(evaluate(tmp_path, {"a.png": "crane"}, {"a.png": crane})) == [
        "several classes have the name 'crane', and count as one: true classes are names"
    ]
    assert notes_of(evaluate(tmp_path, {"a.png": 517}, {"a.png": crane})) == []


def test_answers_without_names_are_told(tmp_path: Path) -> None:
    [note] = notes_of(evaluate(tmp_path, {"a.png": "cat"}, {"a.png": entry(1)}))
    assert note.startswith("1 answers have no names of classes, and the true classes are names")


def test_a_top_5_that_can_not_be_computed_is_told_unless_the_model_has_fewer_classes(tmp_path: Path) -> None:
    truths, results = {"a.png": 1, "b.png": 1}, {"a.png": entry(1, 2, 3, 4, 5), "b.png": entry(1, 2)}
    for num_classes in (None, 5):
        [note] = notes_of(evaluate(tmp_path, truths, results, num_classes))
        assert note.startswith("top-5 accuracy needs 5 classes in each answer; one has 2: if the model has 5")
    assert notes_of(evaluate(tmp_path, truths, results, 4)) == []


def test_what_is_odd_about_labels_is_told(tmp_path: Path) -> None:
    truths = {"a.png": "1,0,1", "b.png": "1,0,0"}
    ranked = {"a.png": entry(0, 7), "b.png": entry(1, 2)}
    assert notes_of(evaluate(tmp_path, truths, ranked, 8)) == [
        f"the model has 8 classes, but {tmp_path}/truth.txt has 3 labels",
        "1 answers have class ids beyond the 3 labels, which don't count",
        (
            "all answers have the same number of classes, as of a model that ranks them, and all of these "
            "count as answered labels: set main_indicator to MultiLabelThreshOutput"
        ),
    ]
    left_out = {"a.png": entry(0), "b.png": entry(1, 2)}
    [note] = notes_of(evaluate(tmp_path, truths, left_out, 3))
    assert note.startswith("labels that an answer leaves out have score 0 in the mean average precision")
    everything = {"a.png": entry(0, 1, 2), "b.png": entry(1, 2, 0)}
    [note] = notes_of(evaluate(tmp_path, truths, everything, 3))
    assert note.startswith("all answers have all labels, as with a threshold of 0")
    logits = {"a.png": entry(0, 1, 2, scores=[7.5, 1, 0]), "b.png": entry()}
    assert "there is no calibration, and no mean" in notes_of(evaluate(tmp_path, truths, logits, 3))[-1]


def test_answers_without_a_class_and_scores_that_are_no_probabilities_are_told(tmp_path: Path) -> None:
    truths = {"a.png": 1, "b.png": 1}
    results = {"a.png": entry(), "b.png": entry(1, 2, scores=[7.5, 1.25])}
    assert notes_of(evaluate(tmp_path, truths, results, 3)) == [
        "1 answers have no class, and count as wrong",
        "scores aren't between 0 and 1: there is no calibration",
    ]


def test_numbers_that_may_be_meant_as_names_are_told(tmp_path: Path) -> None:
    """Classes in the order of their names, as texts: 0, 1, 10, 11, 2 ..."""
    numbers = entry(0, 1, 2, 3, 4)
    numbers["label_names"] = ["00", "1", "10", "11", "2"]
    assert notes_of(evaluate(tmp_path, {"a.png": 10}, {"a.png": numbers})) == [
        "class 2 has the name '10', another number: true classes are taken for ids, not names"
    ]
