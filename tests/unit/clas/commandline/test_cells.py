import csv

import pytest

from clas.commandline.cells import csv_cells, csv_line, escape_cell, shown_name, unescape_cell


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("plain, with 'quotes'", "plain, with 'quotes'"),
        ("=1+1", "\\=1+1"),
        ("\t@", "\\u0009@"),
        ("\x1b[31m\x7f\x9b", "\\u001b[31m\\u007f\\u009b"),
        ("a\u202egnp.exe\u2028", "a\\u202egnp.exe\\u2028"),
        ("Screenshot 3.04\u202fPM é 图", "Screenshot 3.04\u202fPM é 图"),
        ("two\nlines\r", "two\\nlines\\r"),
        ("C:\\new", "C:\\\\new"),
    ],
)
def test_a_cell_holds_no_line_end_and_no_formula_and_gives_back_the_text(text: str, cell: str) -> None:
    assert escape_cell(text) == cell
    assert unescape_cell(cell) == text


def test_a_byte_that_is_not_utf_8_is_given_back() -> None:
    assert unescape_cell("caf\\udce9.png") == "caf\udce9.png"


def test_a_name_is_shown_as_its_cell_has_it_but_for_formulas() -> None:
    assert shown_name("-a/\n\x1b]0;title\x07\udce9\\.png") == "-a/\\n\\u001b]0;title\\u0007\\udce9\\\\.png"


def test_a_cell_that_an_earlier_version_wrote_with_control_characters_is_read() -> None:
    assert unescape_cell("a\x1b\tb") == "a\x1b\tb"
    assert unescape_cell("\\\t@") == "\t@"


def test_a_line_has_its_cells_as_other_readers_find_them() -> None:
    cells = ["a,b", 'quo"te', "", "图"]
    [found] = csv.reader([csv_line(cells)])
    assert found == csv_cells(csv_line(cells)) == cells


@pytest.mark.parametrize("line", ['a,"b', '"a"b,c'])
def test_what_is_not_a_whole_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="a"):
        csv_cells(line)
