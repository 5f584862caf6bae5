import re
from pathlib import Path

from clas.commandline.evaluation.evaluation import Evaluation
from clas.commandline.report.confusion_page import confusion_parts
from evaluations import entry, evaluate


def evaluation_of(folder: Path, *answers: tuple[int, int]) -> Evaluation:
    truths = {f"{number}.png": truth for number, (truth, _) in enumerate(answers)}
    results = {f"{number}.png": entry(answer, names=True) for number, (_, answer) in enumerate(answers)}
    return evaluate(folder, truths, results)


def test_a_cell_knows_its_classes_and_is_darker_the_larger_its_share_is(tmp_path: Path) -> None:
    answers = [(1, 1)] * 8 + [(1, 2)] * 2 + [(2, 2)] * 5 + [(3, 3)]
    parts = "".join(confusion_parts(evaluation_of(tmp_path, *answers)))
    cells = re.findall(r'class="level(\d)".*? data-truth="(\d)" data-answer="(\d)">(\d+)<', parts)
    assert cells == [("7", "1", "1", "8"), ("2", "1", "2", "2"), ("9", "2", "2", "5")]
    assert parts.count('<td class="diagonal">') == 2
    assert 'title="1 class 1 → 2 class 2: 2 / 10"' in parts


def test_of_a_thousand_classes_forty_are_in_the_matrix(tmp_path: Path) -> None:
    answers = [(number % 1000, (number + number % 7) % 1000) for number in range(3000)]
    parts = "".join(confusion_parts(evaluation_of(tmp_path, *answers)))
    heads = parts.partition("</thead>")[0]
    assert heads.count('<th scope="col" title=') == 40
    assert re.search(r"<small>40 / \d+ <span", parts)
    assert parts.count("data-rest") > 0
    rows = parts.partition("<details>")[2]
    assert rows.count("<tr><td>") == 200


def test_there_is_nothing_to_see_if_all_is_right(tmp_path: Path) -> None:
    assert list(confusion_parts(evaluation_of(tmp_path, (1, 1), (2, 2)))) == []
