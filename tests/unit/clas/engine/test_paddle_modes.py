import pytest

from clas.engine.paddle_modes import Mode, modes_of
from clas.settings import Settings

BF16, FAST, PLAIN = Mode(True, "bf16"), Mode(True, "fp32"), Mode(False, "fp32")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (Settings(), [FAST, PLAIN]),
        (Settings(enable_mkldnn=False), [PLAIN]),
        (Settings(precision="bf16"), [BF16, FAST, PLAIN]),
        (Settings(use_gpu=True), [PLAIN]),
        (Settings(use_gpu=True, precision="fp16"), [Mode(False, "fp16")]),
    ],
)
def test_precision_gives_way_before_mkldnn_does(settings: Settings, expected: list[Mode]) -> None:
    assert modes_of(settings) == expected


def test_a_mode_says_what_it_is_instead_of() -> None:
    assert FAST.instead_of(BF16) == "in bf16, continuing in fp32"
    assert PLAIN.instead_of(FAST) == "with MKL-DNN, continuing without it"
