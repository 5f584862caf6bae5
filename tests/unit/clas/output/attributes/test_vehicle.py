import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from clas.output.attributes.vehicle import VehicleAttribute
from clas.settings import Settings

COLORS = ["yellow", "orange", "green", "gray", "red", "blue", "white", "golden", "brown", "black"]
TYPES = ["sedan", "suv", "van", "hatchback", "mpv", "pickup", "bus", "truck", "estate"]
SHARES = st.floats(0, 1, width=32) | st.just(0.5)


@given(row=st.lists(SHARES, min_size=19, max_size=19), color=SHARES, kind=SHARES)
def test_the_text_and_the_bits_are_those_of_the_format(row: list[float], color: float, kind: float) -> None:
    scores = np.array([row], np.float32)
    settings = Settings(main_indicator="VehicleAttribute", color_threshold=color, type_threshold=kind)
    [entry] = VehicleAttribute(19, settings, {})(scores, 19)
    s = scores[0].astype(np.float64)
    best_color, best_type = int(s[:10].argmax()), int(s[10:].argmax())
    texts = ["Color unknown", "Type unknown"]
    if s[best_color] >= color:
        texts[0] = f"Color: ({COLORS[best_color]}, prob: {s[best_color].item()})"
    if s[10 + best_type] >= kind:
        texts[1] = f"Type: ({TYPES[best_type]}, prob: {s[10 + best_type].item()})"
    assert entry["attributes"] == ", ".join(texts)
    assert entry["output"] == (s > np.repeat([color, kind], [10, 9])).astype(int).tolist()
    assert entry["label_names"] == [[*COLORS, *TYPES][place] for place in entry["class_ids"]]
    assert sorted(entry["class_ids"]) == np.flatnonzero(entry["output"]).tolist()


def test_a_vehicle_to_the_letter() -> None:
    scores = np.zeros((2, 19), np.float32)
    scores[0, [4, 11]] = [0.9, 0.5]
    entries = VehicleAttribute(19, Settings(main_indicator="VehicleAttribute"), {})(scores, 19)
    assert [entry["attributes"] for entry in entries] == [
        "Color: (red, prob: 0.8999999761581421), Type: (suv, prob: 0.5)",
        "Color unknown, Type unknown",
    ]
    assert entries[0]["class_ids"] == [4]  # 0.5 isn't above its threshold, which it reaches
