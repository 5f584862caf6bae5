"""Reading the documents: their code blocks, the commands in them, links and anchors."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

SHELLS: Final = {"bash", "sh", "shell", "bat", "powershell", "console"}
_BLOCK: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SERVER_MODULE: Final = ["-m", "clas.serving"]


class Block(NamedTuple):
    """A fenced code block."""

    language: str
    text: str


def manual(repository: Path, language: str) -> list[Path]:
    """The README in a language, and the pages of the manual."""
    readme = {"en": "readme_en.md", "zh": "README.md"}[language]
    return [repository / readme, *sorted((repository / "docs" / language).glob("*.md"))]


def all_documents(repository: Path) -> list[Path]:
    return [
        *manual(repository, "en"),
        *manual(repository, "zh"),
        *(repository / name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md")),
    ]


def blocks(text: str) -> list[Block]:
    return [Block(*found) for found in _BLOCK.findall(text)]


def prose(text: str) -> str:
    """The text without code blocks."""
    return _BLOCK.sub("", text)


def commands(text: str) -> Iterator[list[str]]:
    """Every command of the shell blocks, as words; lines that end in a backslash continue."""
    for block in blocks(text):
        if block.language in SHELLS:
            for line in block.text.replace("\\\n", " ").splitlines():
                if line.strip() and not line.lstrip().startswith("#"):
                    yield shlex.split(line.replace("\\", "/"), comments=True)


def flags(words: list[str]) -> set[str]:
    return {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}


def server_arguments(words: list[str]) -> list[str] | None:
    """What a command gives to the standalone server; None if it doesn't start or stop one."""
    if Path(words[0]).name == "clas-serving":
        return words[1:]
    for number in range(len(words)):
        if words[number : number + 2] == _SERVER_MODULE:
            return words[number + 2 :]
    return None


def links(text: str) -> list[str]:
    """Where links and images point to, but for addresses of other hosts."""
    found = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]+`", "", prose(text)))
    return [link for link in found if not re.match(r"https?:", link)]


def anchors(text: str) -> set[str]:
    """The anchors of the headings, as code hosts and the site make them."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
