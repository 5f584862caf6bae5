from clas.output.selection import above, best_of


def test_of_equal_scores_the_first_is_the_best() -> None:
    assert best_of([0.9, 0.2, 0.5, 0.5], range(1, 4)) == 2
    assert best_of([0.9, 0.2, 0.5, 0.5], (3, 2)) == 3


def test_a_score_that_reaches_its_threshold_is_not_above_it() -> None:
    assert above([0.5, 0.5, 0.6], [0.4, 0.5, 0.5]) == [1, 0, 1]
