import pytest

from clas.commandline.flags import add_setting_flags
from clas.commandline.parser import Parser


def test_the_help_names_the_words_that_a_setting_takes() -> None:
    parser = Parser()
    add_setting_flags(parser, ["precision", "resize_backend", "ir_optim", "crop_size"])
    shown = parser.format_help()
    assert "--precision {fp32,bf16,fp16}" in shown
    assert "--resize_backend {cv2,pil}" in shown
    assert "--ir_optim {true,false}" in shown
    assert "--crop_size VALUE" in shown


def test_top_k_is_the_name_of_the_flag_and_topk_that_of_the_setting(
    capsys: pytest.CaptureFixture[str],
) -> None:
    parser = Parser()
    add_setting_flags(parser, ["topk"])
    assert parser.parse_args(["--top_k", "3"]).topk == parser.parse_args(["--topk", "3"]).topk == 3
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args(["--top_k", "three"])
    assert "'three' is not a whole number" in capsys.readouterr().err


def test_name_is_a_name_of_the_flag_of_model_name() -> None:
    parser = Parser(allow_abbrev=False)
    add_setting_flags(parser, ["model_name"])
    assert [parser.parse_args([flag, "Birds"]).model_name for flag in ("--name", "--model_name")] == [
        "Birds"
    ] * 2
