from pathlib import Path

from clas.commandline.evaluation.table import accuracy_lines, table_lines
from evaluations import entry, evaluate


def test_accuracies_come_first_then_the_means(tmp_path: Path) -> None:
    truths = {f"{number}.png": 3 for number in range(4)}
    results = {
        "0.png": entry(3, 1, 2, 4, 5),
        "1.png": entry(1, 3, 2, 4, 5),
        "2.png": entry(1, 2, 4, 5, 3),
        "3.png": entry(1, 2, 4, 5, 6, 3),  # sixth
    }
    assert accuracy_lines(evaluate(tmp_path, truths, results)) == [
        "The top-1 accuracy: 0.250 (1 of 4 images)",
        "The top-5 accuracy: 0.750 (3 of 4 images)",
        "The macro mean over classes: precision 0.500, recall 0.125, F1 0.200",  # class 1, which no image has
        "The mean weighted by images: precision 1.000, recall 0.250, F1 0.400",
    ]


def test_with_fewer_than_five_classes_there_is_no_top_5(tmp_path: Path) -> None:
    results = {"0.png": entry(3, 1, 2, 4, 5), "1.png": entry(1, 3)}
    lines = accuracy_lines(evaluate(tmp_path, {"0.png": 3, "1.png": 3}, results))
    assert [line.partition(":")[0] for line in lines[:2]] == [
        "The top-1 accuracy",
        "The macro mean over classes",
    ]


def test_without_an_image_there_are_no_lines(tmp_path: Path) -> None:
    evaluation = evaluate(tmp_path, {"0.png": 3}, {"1.png": entry(3)})
    assert accuracy_lines(evaluation) == table_lines(evaluation) == []


def test_the_table_has_the_worst_ten_classes_and_the_ten_largest_confusions(tmp_path: Path) -> None:
    truths: dict[str, object] = {}
    results = {}
    for true_id in range(12):  # of 12 images of class n, n are right
        for number in range(12):
            truths[f"{true_id}/{number}.png"] = true_id
            answer = true_id if number < true_id else 20 + true_id
            results[f"{true_id}/{number}.png"] = entry(answer, names=True)
    lines = table_lines(evaluate(tmp_path, truths, results))
    assert lines[:4] == [
        "The worst of 12 classes, by F1:",
        "     F1  precision  recall  images",
        "  0.000      0.000   0.000      12  0",  # no answer names it
        "  0.154      1.000   0.083      12  1 class 1",
    ]
    assert lines[11].endswith("9 class 9")
    assert lines[12:15] == [
        "The 10 largest of 12 confusions, true class -> answer:",
        "      12  0 -> 20 class 20",
        "      11  1 class 1 -> 21 class 21",
    ]
    assert len(lines) == 12 + 11


def test_few_classes_are_all_shown_and_no_confusion_if_all_is_right(tmp_path: Path) -> None:
    lines = table_lines(evaluate(tmp_path, {"0.png": 3}, {"0.png": entry(3)}))
    assert lines[0] == "The classes, by F1:"
    assert len(lines) == 3


def test_names_do_not_reach_the_terminal_as_control_characters(tmp_path: Path) -> None:
    evil = entry(3)
    evil["label_names"] = ["\x1b[31mre\nd"]
    lines = table_lines(evaluate(tmp_path, {"0.png": 3}, {"0.png": evil}))
    assert lines[-1].endswith("3 \\x1b[31mre\\nd")


def test_labels_have_means_and_a_mean_average_precision(tmp_path: Path) -> None:
    truths = {"0.png": "1,0", "1.png": "1,1"}
    results = {"0.png": entry(0, 1, scores=[0.9, 0.6]), "1.png": entry(0, scores=[0.8])}
    evaluation = evaluate(tmp_path, truths, results)
    assert accuracy_lines(evaluation) == [
        "All labels right: 0.000 (0 of 2 images)",
        "All labels of all images: precision 0.667, recall 0.667, F1 0.667",
        "The macro mean over labels: precision 0.500, recall 0.500, F1 0.500",
        "The mean weighted by images: precision 0.667, recall 0.667, F1 0.667",
        "The mean average precision: 0.750",
    ]
    assert table_lines(evaluation)[0] == "The labels, by F1:"
