import re
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from make_label_list import LabelError, main, make_label_list

LABEL_LIST = Path(__file__).resolve().parents[3] / "clas" / "imagenet1k_label_list.txt"

SYNSETS = [f"n{number:08}" for number in range(2000, 1000, -1)]
ENTRIES = [f"n{number:08}\tlemma {number}, Čeština {number}" for number in range(1, 3000)]

MakeWheel = Callable[..., Path]


@pytest.fixture
def make_wheel(tmp_path: Path) -> MakeWheel:
    def make(synsets: Sequence[str] = SYNSETS, entries: Sequence[str] = ENTRIES) -> Path:
        wheel = tmp_path / "timm-1.0.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, lines in {"imagenet_synsets": synsets, "imagenet_synset_to_lemma": entries}.items():
                archive.writestr(f"timm/data/_info/{name}.txt", "".join(f"{line}\n" for line in lines))
        return wheel

    return make


def test_each_class_gets_its_lemmas_in_the_order_of_the_synsets(make_wheel: MakeWheel) -> None:
    lines = make_label_list(make_wheel())

    assert len(lines) == 1000
    assert lines[0] == "0 lemma 2000, Čeština 2000"
    assert lines[999] == "999 lemma 1001, Čeština 1001"


def test_classes_may_have_the_same_lemmas(make_wheel: MakeWheel) -> None:
    lines = make_label_list(make_wheel(entries=[f"{synset}\tcrane" for synset in SYNSETS]))

    assert lines[134] == "134 crane"
    assert lines[517] == "517 crane"


def test_an_unpacked_wheel_gives_the_same_list(make_wheel: MakeWheel, tmp_path: Path) -> None:
    wheel = make_wheel()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site-packages")

    assert make_label_list(tmp_path / "site-packages") == make_label_list(wheel)


def test_the_command_writes_utf8_lines_that_all_end(make_wheel: MakeWheel, tmp_path: Path) -> None:
    output = tmp_path / "labels.txt"

    assert main([str(make_wheel()), "--output", str(output)]) == 0

    data = output.read_bytes()
    assert data.startswith("0 lemma 2000, Čeština 2000\n1 lemma 1999".encode())
    assert data.endswith("999 lemma 1001, Čeština 1001\n".encode())
    assert data.count(b"\n") == 1000
    assert b"\r" not in data


@pytest.mark.parametrize(
    ("synsets", "entries", "message"),
    [
        pytest.param(SYNSETS[:-1], ENTRIES, "999 different classes", id="too few classes"),
        pytest.param([*SYNSETS, "n00000001"], ENTRIES, "1001 different classes", id="too many classes"),
        pytest.param([*SYNSETS, SYNSETS[0]], ENTRIES, "1000 different classes in 1001", id="a class twice"),
        pytest.param(SYNSETS, ENTRIES[:1500], "has no entry for n00002000", id="no lemmas for a class"),
        pytest.param(SYNSETS, [*ENTRIES, "n00003000 lemma"], "n00003000 lemma", id="no tab"),
        pytest.param(SYNSETS, [*ENTRIES, "n00003000\t"], "n00003000", id="empty lemmas"),
    ],
)
def test_damaged_tables_are_an_error(
    make_wheel: MakeWheel, synsets: Sequence[str], entries: Sequence[str], message: str
) -> None:
    with pytest.raises(LabelError, match=message):
        make_label_list(make_wheel(synsets, entries))


def test_a_directory_without_the_tables_is_an_error_that_names_them(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match=re.escape("timm/data/_info/imagenet_synsets.txt")):
        make_label_list(tmp_path)


def test_the_command_leaves_the_old_list_when_the_wheel_is_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "labels.txt"
    output.write_text("0 old\n")
    wheel = tmp_path / "timm.whl"
    wheel.write_bytes(b"Not Found")

    assert main([str(wheel), "--output", str(output)]) == 1

    assert output.read_text() == "0 old\n"
    assert "isn't a wheel" in capsys.readouterr().err


def test_the_command_says_when_there_is_no_such_wheel(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "none.whl"), "--output", str(tmp_path / "labels.txt")]) == 1

    assert "none.whl" in capsys.readouterr().err
    assert not (tmp_path / "labels.txt").exists()


@pytest.mark.parametrize(
    ("class_id", "line"),
    [
        (0, "0 tench, Tinca tinca"),
        (57, "57 garter snake, grass snake"),
        (134, "134 crane"),
        (282, "282 tiger cat"),
        (517, "517 crane"),
        (638, "638 maillot"),
        (639, "639 maillot, tank suit"),
        (999, "999 toilet tissue, toilet paper, bathroom tissue"),
    ],
)
def test_the_list_of_the_repository_has_the_known_lines(class_id: int, line: str) -> None:
    lines = LABEL_LIST.read_text(encoding="utf-8").splitlines()

    assert lines[class_id] == line


def test_the_list_of_the_repository_has_1000_numbered_lines() -> None:
    lines = LABEL_LIST.read_bytes().decode().split("\n")

    assert lines.pop() == ""
    assert [line.split(" ", 1)[0] for line in lines] == [str(class_id) for class_id in range(1000)]
    assert all(line.split(" ", 1)[1].strip() for line in lines)
