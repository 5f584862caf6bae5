from pathlib import Path
from typing import Any

import pytest

from clas.settings import PREPROCESS_NAMES, Settings
from clas_client.preprocess_check import warn_of_differences
from clas_client.reply import Reply
from clas_client.server_info import ServerInfo
from clas_client.settings import ClientSettings
from test_hubserving import make_preprocess

DEFAULTS: dict[str, Any] = {name: getattr(Settings, name) for name in PREPROCESS_NAMES}
SHAPE = [None, 3, 224, 224]


def described(input_shape: object = SHAPE, **changed: object) -> ServerInfo:
    values = {**DEFAULTS, **changed}
    as_json = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    return ServerInfo(
        "http://server/",
        Reply(200, "application/json", b""),
        {"model": {"preprocess": as_json, "input_shape": input_shape}},
    )


def warned(caplog: pytest.LogCaptureFixture, server: ServerInfo, **flags: Any) -> str:
    settings = ClientSettings(server_url="", image_file=Path(), **flags)
    warn_of_differences(settings, make_preprocess(settings), server)
    return "\n".join(record.getMessage() for record in caplog.records)


def test_nothing_is_said_of_a_server_that_does_the_same(caplog: pytest.LogCaptureFixture) -> None:
    assert not warned(caplog, described())
    assert not warned(caplog, described(), wire="uint8")


@pytest.mark.parametrize(
    ("theirs", "flags", "named"),
    [
        ({"interpolation": "bicubic"}, {}, "interpolation (bicubic there, bilinear here)"),
        ({"resize_backend": "pil"}, {"wire": "uint8"}, "resize_backend (pil there, cv2 here)"),
        ({"resize_short": 248}, {}, "resize_short (248 there, 256 here)"),
        ({"resize_size": (224, 224)}, {}, "resize_size ([224, 224] there, [] here)"),
        ({"mean": (0.5, 0.5, 0.5)}, {}, "mean ([0.5, 0.5, 0.5] there, [0.485, 0.456, 0.406] here)"),
        ({}, {"normalize": False}, "scale (0.00392157 there, 1 here)"),
        ({}, {"normalize": False, "wire": "uint8"}, "scale (0.00392157 there, 1 here)"),
    ],
)
def test_what_differs_is_named_with_both_values_and_the_flags_to_type(
    caplog: pytest.LogCaptureFixture, theirs: dict[str, Any], flags: dict[str, Any], named: str
) -> None:
    said = warned(caplog, described(**theirs), **flags)
    assert "\n" not in said
    assert named in said
    assert said.endswith(
        "; --preprocess server takes its settings, and --wire encoded leaves all of it to the server"
    )


def test_of_several_differences_each_is_named_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    server = described([-1, 3, 384, 384], resize_short=384, crop_size=384, std=(0.5, 0.5, 0.5))
    server.content["model"]["input_shape"][0] = None
    said = warned(caplog, server, crop_size=256)
    assert said.partition("wrong: ")[2].partition(";")[0] == (
        "resize_short (384 there, 256 here), crop_size (384 there, 256 here), "
        "std ([0.5, 0.5, 0.5] there, [0.229, 0.224, 0.225] here)"
    )


@pytest.mark.parametrize(
    ("theirs", "flags"),
    [
        ({"resize_size": (), "mean": (0.5, 0.5, 0.5)}, {"wire": "uint8"}),  # the server normalizes pixels
        ({"scale": 0.00392157}, {}),
        (
            {"scale": 1, "mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)},
            {},
        ),  # the same line
        ({"mean": (0, 0, 0), "std": (1, 1, 1), "scale": 1}, {"normalize": False}),
        ({"resize_size": (256, 256)}, {}),  # its own sizes don't fit its model, as it says itself
    ],
)
def test_what_makes_no_difference_is_not_named(
    caplog: pytest.LogCaptureFixture, theirs: dict[str, Any], flags: dict[str, Any]
) -> None:
    assert not warned(caplog, described(**theirs), **flags)


def test_sizes_count_for_models_of_any_size_and_with_channels_last(caplog: pytest.LogCaptureFixture) -> None:
    for shape in ([None, 3, None, None], [None, 224, 224, 3], None, "odd"):
        assert "resize_short (300 there" in warned(caplog, described(shape, resize_short=300))
        caplog.clear()


def test_a_preprocessing_that_this_client_does_not_know_is_said(caplog: pytest.LogCaptureFixture) -> None:
    said = warned(caplog, described(interpolation="cubist"))
    assert "a preprocessing that this client doesn't support: interpolation is 'cubist'" in said
    assert said.endswith("; --wire encoded leaves the preprocessing to the server")


def test_a_changed_function_is_not_compared(caplog: pytest.LogCaptureFixture) -> None:
    settings = ClientSettings(server_url="", image_file=Path())
    warn_of_differences(settings, lambda image: image, described(interpolation="bicubic"))
    assert not caplog.records


@pytest.mark.parametrize("content", [{}, {"model": None}, {"model": {"name": "tiny"}}])
def test_a_server_that_does_not_describe_it_is_not_compared(
    caplog: pytest.LogCaptureFixture, content: dict[str, Any]
) -> None:
    server = ServerInfo("http://server/", Reply(200, "application/json", b""), content)
    assert not warned(caplog, server, crop_size=100)
