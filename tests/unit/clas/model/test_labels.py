import json
import re
from pathlib import Path

import pytest

from clas.errors import LabelFileError
from clas.model.labels import load_labels

NAMES = {0: "公鸡", 1: "great white shark, white shark", 2: "7 up"}


def write(directory: Path, text: str, encoding: str = "utf-8") -> Path:
    file = directory / "labels.txt"
    file.write_bytes(text.encode(encoding))
    return file


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize(
    "text",
    [
        "0 公鸡\n1 great white shark, white shark\n2 7 up\n",
        "2\t7 up\r\n0\t公鸡\r\n\r\n1  great white shark, white shark",
        "公鸡\ngreat white shark, white shark\n7 up\n\n",
        "公鸡 \r\n great white shark, white shark\r\n7 up",
        json.dumps(list(NAMES.values())),
        json.dumps(list(NAMES.values()), ensure_ascii=False, indent=1),
        json.dumps(NAMES, ensure_ascii=False),
        "\n" + json.dumps({name: number for number, name in NAMES.items()}),
    ],
    ids=["id name", "tabs", "names", "names, \\r\\n", "list", "list of lines", "object", "object of names"],
)
def test_label_files_are_read_as_people_have_them(tmp_path: Path, text: str, encoding: str) -> None:
    assert load_labels(write(tmp_path, text, encoding)) == NAMES


def test_names_that_begin_with_a_number_are_names_among_others(tmp_path: Path) -> None:
    assert load_labels(write(tmp_path, "cola\n7 up\ntea\n")) == {0: "cola", 1: "7 up", 2: "tea"}


def test_an_empty_file_has_no_labels(tmp_path: Path) -> None:
    assert load_labels(write(tmp_path, "\n\n")) == {}
    assert load_labels(write(tmp_path, "[]")) == {}


@pytest.mark.parametrize("encoding", ["gbk", "gb18030", "utf-16", "big5"])
def test_another_encoding_is_refused_with_file_line_and_the_encoding_wanted(
    tmp_path: Path, encoding: str
) -> None:
    file = write(tmp_path, "0 tench\n1 公雞\n", encoding)
    line = 1 if encoding == "utf-16" else 2
    message = rf"labels\.txt isn't UTF-8: .* at byte \d+, in line {line}; save it as UTF-8$"
    with pytest.raises(LabelFileError, match=message):
        load_labels(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tench\n", "malformed in line 1: 'tench'; a line takes '<id> <name>', each id once"),
        ("0 tench\n1 shark\nray\n", "malformed in line 3: 'ray'"),
        ("0 tench\n0 shark\n", "malformed in line 2: '0 shark'"),
        (
            "tench\n\nshark\n",
            "malformed in line 2: it is blank, which would shift the ids of the names after it; remove",
        ),
        (
            '["tench",\n}',
            "is not valid JSON: Expecting value, in line 2; a file that begins with [ or { must have",
        ),
        ('["tench", 5]', "malformed at 1: 5; a list takes names, an object ids and names"),
        ('["tench", " "]', "malformed at 1: ' '"),
        ('{"0": ["n01440764", "tench"]}', "malformed at '0': ['n01440764', 'tench']"),
        ('{"tench": -1}', "malformed at 'tench': -1"),
        ('{"tench": true}', "malformed at 'tench': True"),
        ('{"tench": "shark"}', "malformed at 'tench': 'shark'"),
        ('{"0": "tench", "0": "shark"}', "malformed: the key '0' occurs twice"),
        ('{"0": "tench", "00": "shark"}', "has the id 0 twice"),
        ("[" * 100_000, "malformed: maximum recursion depth"),
        ("[" + "1" * 5000 + "]", "malformed: Exceeds the limit"),
    ],
)
def test_what_is_malformed_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(LabelFileError, match=re.escape(message)) as caught:
        load_labels(write(tmp_path, text))
    assert "labels.txt" in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_label_file_is_read_with_its_spaces_and_chinese(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_text("\ufeff0 tench, Tinca tinca\r\n\n  7 公鸡 \n8 a\x0bb\x85c\n", encoding="utf-8")
    assert load_labels(file) == {0: "tench, Tinca tinca", 7: "公鸡", 8: "a\x0bb\x85c"}


@pytest.mark.parametrize(
    "line", ["tench", "x tench", "0", "-1 tench", "² tench", "1 again", "9" * 5000 + " x"]
)
def test_a_malformed_line_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "labels.txt"
    file.write_text(f"1 goldfish\n{line}\n", encoding="utf-8")
    with pytest.raises(LabelFileError, match=re.escape(f"malformed in line 2: {line[:80]!r}")):
        load_labels(file)


def test_an_unreadable_label_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabelFileError, match="can't be read: Is a directory"):
        load_labels(tmp_path)
