import numpy as np

from clas.commandline.evaluation.figures import Figures, figures_of, macro_mean, weighted_mean


def test_precision_recall_and_f1_are_those_of_the_definition() -> None:
    assert figures_of(6, 8, 12) == (6 / 8, 6 / 12, 2 * (6 / 8) * (6 / 12) / (6 / 8 + 6 / 12), 12)


def test_a_share_of_nothing_is_0() -> None:
    assert figures_of(0, 0, 5) == (0, 0, 0, 5)
    assert figures_of(0, 3, 0) == (0, 0, 0, 0)
    assert macro_mean([]) == weighted_mean([]) == (0, 0, 0, 0)


def test_a_class_counts_once_or_by_its_images() -> None:
    given = [Figures(0.5, 0.25, 0.125, 1), Figures(1.0, 0.75, 0.5, 3)]
    table = np.array([each[:3] for each in given])
    assert macro_mean(given) == (*table.mean(axis=0), 4)
    assert weighted_mean(given) == (*np.average(table, axis=0, weights=[1, 3]), 4)
