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


ANIMALS = {0: "cat", 1: "dog", 2: "fish"}
FORMS = {
    "colon": "0: cat\n1: dog\n2: fish\n",
    "colon with spaces": "0 : cat\n1 : dog\n2 : fish\n",
    "comma": "0,cat\n1,dog\n2,fish",
    "comma with spaces, out of order": "2, fish\n0, cat\n1, dog\n",
    "semicolon": "0;cat\n1;dog\n2;fish\n",
    "pipe": "0|cat\n1|dog\n2|fish\n",
    "equals sign": "0 = cat\n1 = dog\n2 = fish\n",
    "full-width digits": "０ cat\n１ dog\n２ fish\n",
    "full-width punctuation": "０，cat\n１，dog\n２，fish\n",
    "ideographic space": "0\u3000cat\n1\u3000dog\n2\u3000fish\n",
    "header": "id,name\r\n0,cat\r\n1,dog\r\n2,fish\r\n",
    "header of a spreadsheet": "Class ID;Class Name\n0;cat\n1;dog\n2;fish\n",
    "header in Chinese": "编号,名称\n0,cat\n1,dog\n2,fish\n",
    "header of columns with spaces": "id name\n0 cat\n1 dog\n2 fish\n",
    "three columns": "id,wnid,name\n0,n01,cat\n1,n02,dog\n2,n03,fish\n",
    "quoted": '"id","name"\n"0","cat"\n"1","dog"\n"2","fish"\n',
    "name first": "cat 0\ndog 1\nfish 2\n",
    "name first, out of order": "fish 2\ncat 0\ndog 1\n",
    "name first with commas": "name,id\ncat,0\ndog,1\nfish,2\n",
    "name first with three columns": "name,wnid,id\ncat,n01,0\ndog,n02,1\nfish,n03,2\n",
    "dictionary of Python": "{0: 'cat',\n 1: 'dog',\n 2: 'fish'}",
    "dictionary of Python, name first": "{'cat': 0, 'dog': 1, 'fish': 2}",
    "list of Python": "['cat', 'dog', 'fish']",
    "Keras": '{"0": ["n01", "cat"], "1": ["n02", "dog"], "2": ["n03", "fish"]}',
}


@pytest.mark.parametrize("text", FORMS.values(), ids=list(FORMS))
def test_forms_of_other_tools_are_read(tmp_path: Path, text: str) -> None:
    assert load_labels(write(tmp_path, text)) == ANIMALS


def test_ids_that_count_from_one_are_kept_until_the_model_is_known(tmp_path: Path) -> None:
    assert load_labels(write(tmp_path, "1,cat\n2,dog\n3,fish\n")) == {1: "cat", 2: "dog", 3: "fish"}
    assert load_labels(write(tmp_path, "cat 1\ndog 2\n")) == {1: "cat", 2: "dog"}


@pytest.mark.parametrize(
    "names",
    [
        ["crane, bird", "crane, machine"],
        ["windows 7", "windows 8", "windows 10"],
        ["Boeing, 737", "Boeing, 747"],
        ["class 0", "class 1"],
        ["ratio 16:9", "ratio 4:3"],
        ["a|b", "c=d", "e;f"],
        ["0", "1", "2"],
        ["cola", "7 up", "12,5 %"],
        ["公鸡：家禽", "猫，狗"],
    ],
)
def test_names_keep_their_separators_and_numbers(tmp_path: Path, names: list[str]) -> None:
    assert load_labels(write(tmp_path, "\n".join(names))) == dict(enumerate(names))


@pytest.mark.parametrize("separator", [",", ";", "|", ":", "="])
def test_a_name_beside_an_id_may_hold_the_separator(tmp_path: Path, separator: str) -> None:
    text = f"0{separator}a{separator}b\n1{separator}c\n"
    assert load_labels(write(tmp_path, text)) == {0: f"a{separator}b", 1: "c"}


def test_a_quoted_name_may_hold_a_comma(tmp_path: Path) -> None:
    text = '0,"crane, bird"\n1,"crane, ""machine"""\n'
    assert load_labels(write(tmp_path, text)) == {0: "crane, bird", 1: 'crane, "machine"'}


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
        ('{"0": ["n01440764", "tench", 1]}', "malformed at '0': ['n01440764', 'tench', 1]"),
        ('{"0": ["n01440764", 5]}', "malformed at '0': ['n01440764', 5]"),
        ("{0: 'tench', 0: 'shark'}", "malformed: the key 0 occurs twice"),
        ("{0: tench}", "is not valid JSON: Expecting property name"),
        ("[open('x')]", "is not valid JSON: Expecting value, in line 1"),
        ("0,cat\n1,dog\nfish", "malformed in line 3: 'fish'; a line takes '<id>,<name>', each id once"),
        ("cat,0\ndog,1\nfish", "malformed in line 3: 'fish'; a line takes '<name>,<id>', each id once"),
        ("cat|0\ndog|0", "malformed in line 2: 'dog|0'; a line takes '<name>|<id>', each id once"),
        ("0,n01,cat\n1,n02,dog", "malformed: its lines have 3 columns, and it isn't said which of them has"),
        ("0\tn01\tcat\n1\tn02\tdog", "malformed: its lines have 3 columns"),
        ("0.cat\n1.dog", "malformed in line 1: '0.cat'; the lines are numbered, but in no form that is read"),
        ("1) cat\n2) dog", "malformed in line 1: '1) cat'; the lines are numbered, but in no form"),
        ("#0 cat\n#1 dog", "malformed in line 1: '#0 cat'; the lines are numbered, but in no form"),
        ("name,wnid,id,n\ncat,n01,0,5\ndog,n02,1,5\n", "malformed in line 1: 'name,wnid,id,n'"),
        ("wnid,label,class\nn01,cat,a\n", "malformed in line 1: 'wnid,label,class'"),
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
