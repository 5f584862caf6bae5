import dataclasses

import pytest

import make_configuration_page
from clas.serving.options import ServerOptions
from clas.settings import SETTING_NAMES
from clas_client.settings import ClientSettings
from configuration_rows import read_rows, sentence
from make_configuration_page import (
    LANGUAGES,
    PageError,
    check_names,
    make_page,
    make_table,
    page_path,
    replace_tables,
    with_texts,
)

AGAIN = "run `python tools/make_configuration_page.py`"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_current(language: str) -> None:
    assert page_path(language).read_text(encoding="utf-8") == make_page(language), AGAIN


def test_every_setting_has_a_row() -> None:
    rows = read_rows("en")
    assert set(rows["settings"]) == set(SETTING_NAMES)
    assert set(rows["server"]) >= {field.name for field in dataclasses.fields(ServerOptions)}
    flags = {field.name for field in dataclasses.fields(ClientSettings) if "help" in field.metadata}
    assert set(rows["client"]) == flags
    assert all(all(row) for found in rows.values() for row in found.values())


def test_a_row_shows_names_values_and_default() -> None:
    rows = read_rows("en")
    assert rows["server"]["port"][:3] == ("`port`, `-p`", "0 – 65535", "`8866`")
    assert rows["server"]["timeout_s"][:3] == ("`timeout_s`", "0.1 – 86400", "`30`")
    assert rows["server"]["use_gpu"][:3] == ("`--use_gpu`", "no value", "off")
    assert rows["settings"]["precision"][:3] == ("`precision`", "`fp32`, `bf16`, `fp16`", "`fp32`")
    assert rows["settings"]["scale"].default == "`1 / 255`"
    assert rows["settings"]["resize_size"][1:3] == ("2 numbers from 1 to 8192, or none", "none")
    assert rows["client"]["image_file"][:3] == ("`--image_file`, `--image_path`", "path", "required")
    assert rows["offline"]["paths"][:3] == ("`PATH ...`", "one or more paths", "required")
    assert rows["offline"]["top_k"][:3] == ("`--top_k`, `--topk`", "≥ 1", "`topk`")
    assert rows["offline"]["format"][:3] == ("`--format`", "`text`, `json`, `csv`", "`text`")
    assert read_rows("zh")["client"]["image_file"][1:3] == ("路径", "必填")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a file.", "A file"),
        ("bf16: compute in bfloat16", "bf16: compute in bfloat16"),
        ("Use --gpu, not use_gpu", "Use `--gpu`, not `use_gpu`"),
        ("clas_system==VERSION of `hub_run`", "`clas_system==VERSION` of `hub_run`"),
        ("http://HOST:PORT/predict/clas_system", "`http://HOST:PORT/predict/clas_system`"),
        ("a|b", "a\\|b"),
    ],
)
def test_a_help_becomes_the_text_of_a_cell(text: str, shown: str) -> None:
    assert sentence(text) == shown


def test_a_text_that_is_missing_or_stale_is_refused() -> None:
    rows = {"server": {"port": read_rows("zh")["server"]["port"]}}
    assert (
        with_texts(rows, {"server": {"port": "use_gpu 的端口"}})["server"]["port"].meaning
        == "`use_gpu` 的端口"
    )
    with pytest.raises(PageError, match="missing: port"):
        with_texts(rows, {"server": {}})
    with pytest.raises(PageError, match="not in use: prot"):
        with_texts(rows, {"server": {"port": "端口", "prot": "端口"}})


def test_tables_are_put_between_their_marks() -> None:
    table = make_table("en", [read_rows("en")["server"]["port"]])
    page = "before\n<!-- table: one -->\nold\n<!-- end -->\nafter\n"
    made = replace_tables(page, {"one": table})
    assert made.startswith(
        "before\n<!-- table: one -->\n\n| Name | Values | Default | Meaning |\n|---|---|---|---|\n"
    )
    assert made.endswith(" |\n\n<!-- end -->\nafter\n")
    assert replace_tables(made, {"one": table}) == made
    with pytest.raises(PageError, match="missing: two"):
        replace_tables(page, {"one": table, "two": table})


def test_names_are_compared_both_ways() -> None:
    check_names("here", ["a", "b"], ["b", "a"])
    with pytest.raises(PageError, match="here: missing: b"):
        check_names("here", ["a"], ["a", "b"])


def test_a_page_without_its_tables_ends_the_program_and_writes_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(make_configuration_page.TABLES, "log", ("server", "log_format"))
    before = page_path("en").read_text(encoding="utf-8")
    assert make_configuration_page.main([]) == 1
    assert "TABLES, server: missing: log_file, log_level" in capsys.readouterr().err
    assert page_path("en").read_text(encoding="utf-8") == before
