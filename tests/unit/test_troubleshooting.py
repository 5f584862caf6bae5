"""The messages in the pages on troubleshooting are those of the code."""

import re
from pathlib import Path

import pytest

from code_messages import CodeMessages

THIRD_PARTY = (
    "Can't connect to Hub Server: ...",  # PaddleHub
    "No HubModule named ... was found",
    "PaddleHub Serving config file is not exists, please confirm the port [8866] you specified is correct.",
    "RuntimeError: ... not exists.",
    "Module ... is not available.",
    "FatalError: Segmentation fault is detected by the operating system.",  # Paddle
    "WORKER TIMEOUT (pid:...)",  # gunicorn
    "Worker (pid:...) was sent SIGKILL! Perhaps out of memory?",
    "Invalid HTTP request received.",  # uvicorn
    "ImportError: cannot import name ...",  # Python and its libraries
    "ImportError: ...: cannot open shared object file",
    "libGL.so.1",
    "libgthread-2.0.so.0",
    "libgomp.so.1",
    "TypeError: Descriptors cannot be created directly.",
    "json.decoder.JSONDecodeError: ...",
    "Failed to establish a new connection: [Errno 111] Connection refused",
    "Failed to resolve ...",
    "[Errno 104] Connection reset by peer",
    "Remote end closed connection without response",
    "[SSL: CERTIFICATE_VERIFY_FAILED] ...",
    # Ray
    "Actor with class name: ... has constructor arguments in the object store and max_restarts > 0. ...",
)
HEADS = {"en": "Message", "zh": "信息"}


@pytest.fixture(scope="module")
def messages(repository: Path) -> CodeMessages:
    files = [*(repository / "clas").rglob("*.py"), *(repository / "clas_client").rglob("*.py")]
    files = [file for file in files if not file.name.startswith("openapi")]  # their examples repeat messages
    makefile = re.findall(r'echo "(.*?)"', (repository / "Makefile").read_text())
    return CodeMessages([*files, repository / "test_hubserving.py"], [*THIRD_PARTY, *makefile])


def rows(repository: Path, language: str) -> list[tuple[str, list[str]]]:
    """Each row of the tables of messages, with what it quotes in the column of the messages."""
    found: list[tuple[str, list[str]]] = []
    column: int | None = None
    text = (repository / "docs" / language / "troubleshooting.md").read_text(encoding="utf-8")
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if not line.startswith("|"):
            column = None
        elif HEADS[language] in cells:
            column = cells.index(HEADS[language])
        elif column is not None and not line.startswith("|---"):
            quoted = re.findall(r"(`+)( ?)(.+?)\2\1(?!`)", cells[column])
            found.append((line, [message for _, _, message in quoted]))
    return found


def test_each_quoted_message_is_one_of_the_code(repository: Path, messages: CodeMessages) -> None:
    quoted = rows(repository, "en")
    assert len(quoted) > 100
    unknown = [
        f"{message}\n    in the row {row}"
        for row, found in quoted
        for message in found
        if not messages.has(message)
    ]
    assert not unknown, "not in the code, reword them in both languages:\n" + "\n".join(unknown)
    assert all(found for _, found in quoted)


def test_both_languages_quote_the_same_messages(repository: Path) -> None:
    english, chinese = ([found for _, found in rows(repository, language)] for language in HEADS)
    assert english == chinese


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ('raise E("top_k is missing")', "top_k is missing"),
        ('raise E(f"top_k is {value!r}; it takes {wanted}")', "top_k is 0; it takes ..."),
        ('raise E(f"{name} is {value!r}; " + "say more")', "top_k is ...; say more\ntop_k = 1"),
        ('LOGGER.warning("%s has ended after %.1f s", name, s)', "worker has ended after 1.5 s\nworker = 1"),
        ('hint = f"did you mean {n!r}?"\nraise E(f"no {x}; {hint}")', "no 'port'; did you mean 'prot'?"),
        ('raise E(f"a long message with {count} images in it and more")', "a long message with ..."),
    ],
)
def test_a_message_is_found_with_its_values(tmp_path: Path, source: str, message: str) -> None:
    message, _, names = message.partition("\n")
    file = tmp_path / "code.py"
    file.write_text(f"{source}\n{names}\n")
    assert CodeMessages([file]).has(message)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ('raise E(f"top_k is {value!r}; it takes {wanted}")', "top_k is ...; it wants ..."),
        ('raise E(f"top_k is {value!r}")', "topk is ..."),
        ('raise E(f"{place}: {reason}")', "params.py: the reason of old"),
        ('def f():\n    """A message in a docstring."""', "A message in a docstring."),
    ],
)
def test_a_reworded_message_is_not_found(tmp_path: Path, source: str, message: str) -> None:
    file = tmp_path / "code.py"
    file.write_text(source)
    assert not CodeMessages([file]).has(message)
