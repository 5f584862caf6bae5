import argparse
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from clas.errors import SettingsError
from clas_client.flags import add_flags, read_flags
from clas_client.settings import ClientSettings

REQUIRED = ["--server_url", "http://127.0.0.1:1/predict/clas_system", "--image_file", "."]


def parse(*flags: str) -> ClientSettings:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return read_flags(parser.parse_args([*REQUIRED, *flags]))


def test_a_number_beyond_its_range_is_refused() -> None:
    with pytest.raises(
        SettingsError, match="batch_size is 4294967296; it takes a number from 1 to 2147483647"
    ):
        parse("--batch_size", "4294967296")


def test_flags_that_are_not_given_have_the_defaults_of_the_fields() -> None:
    assert parse() == ClientSettings(server_url="http://127.0.0.1:1/predict/clas_system", image_file=Path())


def test_each_flag_becomes_the_field_of_its_name() -> None:
    parsed = parse("--batch_size", "4", "--normalize", "no", "--timeout", "1.5", "--top_k", "3")
    assert (parsed.batch_size, parsed.normalize, parsed.timeout, parsed.top_k) == (4, False, 1.5, 3)
    settings: Any = parsed
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.batch_size = 8


def test_each_flag_has_a_help_without_its_default_and_the_command_line_adds_that() -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    shown = " ".join(parser.format_help().split())
    for field in dataclasses.fields(ClientSettings):
        if field.name not in ("token", "settings"):
            assert f"--{field.name}" in shown
            assert field.metadata["help"] in shown
            assert "default" not in field.metadata["help"]
    assert "Images per request (default: 1)" in shown


def test_the_help_has_groups_of_flags() -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    groups = {
        group.title: [action.dest for action in group._group_actions] for group in parser._action_groups
    }
    assert list(groups)[2:] == ["what to send", "how to send it", "results", "evaluation"]
    assert groups["what to send"] == ["server_url", "image_file", "token_file"]
    assert {"top_k", "output", "resume", "report"} <= set(groups["results"])
    assert "wire" in groups["how to send it"]


def test_a_token_is_the_first_line_of_its_file_and_is_not_shown(tmp_path: Path) -> None:
    first_line = "secret-0123456789"
    (tmp_path / "token").write_text(f" {first_line} \nmore\n")
    settings = parse("--token_file", str(tmp_path / "token"))
    assert settings.token == first_line
    assert first_line not in repr(settings)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "can't be read: .* No such file"),
        ("\nsecond line", "has no token in its first line"),
        ("ключ", "can't be read: 'ascii' codec"),
    ],
)
def test_a_file_without_a_token_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "token").write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError, match=f"^the token file {tmp_path / 'token'} {message}"):
        parse("--token_file", str(tmp_path / "token"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--resize_short", "200"], "--resize_short must not be smaller than --crop_size"),
        (["--wire", "encoded", "--to_chw", "0"], "to the server: remove it, or --to_chw"),
        (["--wire", "encoded", "--reduced_decode", "1"], "to the server: remove it, or --reduced_decode"),
        (
            ["--preprocess", "server", "--resize_short", "300"],
            "from the server: remove it, or --resize_short",
        ),
        (["--resume"], "--resume needs --output"),
    ],
)
def test_flags_that_exclude_each_other_are_named(flags: list[str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse(*flags)


def test_images_are_named_from_the_folder_on(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    folder = ClientSettings(server_url="", image_file=tmp_path)
    file = dataclasses.replace(folder, image_file=tmp_path / "a.png")
    assert folder.root == file.root == tmp_path


@pytest.mark.parametrize(
    ("address", "fault", "meant"),
    [
        ("http://h:8866", "is a server", "http://h:8866/predict/clas_system"),
        ("http://h:8866/", "is a server", "http://h:8866/predict/clas_system"),
        ("http://h/predict/clas_system/", "ends in a slash", "http://h/predict/clas_system"),
        ("https://h/a/predict/clas_system//", "ends in a slash", "https://h/a/predict/clas_system"),
    ],
)
def test_an_address_that_is_not_that_of_predictions_is_refused_with_the_right_one(
    address: str, fault: str, meant: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        parse("--server_url", address)
    assert str(caught.value).startswith(f"--server_url {address} {fault}")
    assert str(caught.value).endswith(f": use {meant}")


@pytest.mark.parametrize(
    "address", ["http://h/predict/clas_system", "http://h/of/a/proxy/", "http://h/a?b=c"]
)
def test_any_other_address_may_be_that_of_a_proxy(address: str) -> None:
    assert parse("--server_url", address).server_url == address


def test_failures_are_shown_unless_a_file_has_their_reasons() -> None:
    assert parse().shows_failures
    assert parse("--quiet").shows_failures
    assert parse("--output", "a.csv").shows_failures
    assert not parse("--quiet", "--output", "a.csv").shows_failures
    assert not parse("--quiet", "--report", "a.html").shows_failures
