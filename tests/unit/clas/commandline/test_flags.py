import argparse

from clas.commandline.flags import add_setting_flags


def test_the_help_names_the_words_that_a_setting_takes() -> None:
    parser = argparse.ArgumentParser()
    add_setting_flags(parser, ["precision", "resize_backend", "ir_optim", "crop_size"])
    shown = parser.format_help()
    assert "--precision {fp32,bf16,fp16}" in shown
    assert "--resize_backend {cv2,pil}" in shown
    assert "--ir_optim {true,false}" in shown
    assert "--crop_size VALUE" in shown
