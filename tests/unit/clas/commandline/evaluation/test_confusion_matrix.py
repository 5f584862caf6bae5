from clas.commandline.evaluation.confusion_matrix import matrix_of
from clas.commandline.evaluation.single_label import SingleLabel


def counted(*pairs: tuple[int, int | None, int]) -> SingleLabel:
    """Of true class, answer, and how often."""
    counts = SingleLabel()
    for truth, answer, images in pairs:
        for _ in range(images):
            counts.add(truth, [] if answer is None else [answer], [] if answer is None else [0.5])
    return counts


def test_only_what_is_confused_is_there_the_largest_confusions_side_by_side() -> None:
    counts = counted((1, 1, 9), (2, 2, 5), (2, 8, 3), (7, 9, 2), (9, 9, 4), (7, 8, 1), (5, None, 1))
    matrix = matrix_of(counts, 10)
    assert matrix.classes == [2, 8, 7, 9, 5]
    assert matrix.num_confused == 5
    assert matrix.rows == [
        (2, [5, 3, 0, 0, 0], 0),
        (7, [0, 1, 0, 2, 0], 0),
        (9, [0, 0, 0, 4, 0], 0),
        (5, [0, 0, 0, 0, 0], 1),
    ]


def test_of_many_classes_those_of_the_largest_confusions_are_there() -> None:
    counts = counted(*((number, number + 1, number) for number in range(1, 1000)))
    matrix = matrix_of(counts, 4)
    assert matrix.classes == [999, 1000, 998, 997]
    assert matrix.num_confused == 1000
    assert matrix.rows == [(999, [0, 999, 0, 0], 0), (998, [998, 0, 0, 0], 0), (997, [0, 0, 997, 0], 0)]


def test_what_was_answered_with_other_classes_is_counted() -> None:
    assert matrix_of(counted((1, 2, 3), (1, 3, 2), (1, None, 1)), 2).rows == [(1, [0, 3], 3)]


def test_nothing_is_confused() -> None:
    assert matrix_of(counted((1, 1, 3)), 10) == ([], [], 0)
