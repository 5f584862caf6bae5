import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from clas.output.groups import GroupOutput
from clas.result_values import Group

GENDER = Group("gender", (3,), ("male", "female"), 0.5)
AGE = Group("age", (0, 1, 2), ("young", "adult", "old"))
SIDE = Group("side", (5, 4), ("left", "right"))
SHARES = st.floats(0, 1, width=32) | st.just(0.5)


@given(rows=st.lists(st.lists(SHARES, min_size=6, max_size=6), min_size=1, max_size=4))
def test_each_group_answers_by_its_own_outputs(rows: list[list[float]]) -> None:
    scores = np.array(rows, np.float32)
    results = GroupOutput(6, [GENDER, AGE, SIDE])(scores, 3)
    for s, entry in zip(scores, results, strict=True):
        age = int(np.argmax(s[:3]))
        side = [5, 4][int(np.argmax(s[[5, 4]]))]
        wanted = {
            "gender": ("female" if s[3] > 0.5 else "male", 3),
            "age": (["young", "adult", "old"][age], age),
            "side": ("left" if side == 5 else "right", side),
        }
        found = {name: (answer["label"], answer["class_id"]) for name, answer in entry["groups"].items()}
        assert found == wanted
        assert list(found) == ["gender", "age", "side"]
        assert entry["label_names"] == [label for label, _ in wanted.values()]
        assert entry["class_ids"] == [3, age, side]
        assert entry["scores"] == [round(float(s[place]), 5) for place in entry["class_ids"]]
        assert entry["scores"] == [answer["score"] for answer in entry["groups"].values()]


def test_groups_keep_their_order_whatever_the_scores_are() -> None:
    scores = np.array([[0.1, 0.9, 0.2, 0.4, 0.3, 0.05]], np.float32)
    [entry] = GroupOutput(6, [SIDE, GENDER, AGE])(scores, 1)
    assert entry["class_ids"] == [4, 3, 1]
    assert entry["scores"] == [0.3, 0.4, 0.9]
