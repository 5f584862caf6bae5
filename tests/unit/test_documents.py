"""The two documents say the same, and the commands and flags in them exist."""

import ast
import configparser
import contextlib
import dataclasses
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import paddlehub
import pytest

from clas.commandline import cli as command
from clas.serving import cli
from clas.serving.metrics import Metrics
from clas.serving.options import ServerOptions, load_options
from clas.settings import Settings, load_settings

DOCUMENTS = ("README.md", "readme_en.md")
SHELLS = {"bash", "sh", "shell", "bat", "powershell", "console"}
SERVER_MODULE = ["-m", "clas.serving"]


class Block(NamedTuple):
    """A fenced code block."""

    language: str
    text: str


@pytest.fixture(params=DOCUMENTS)
def document(request: pytest.FixtureRequest, repository: Path) -> str:
    text: str = (repository / request.param).read_text(encoding="utf-8")
    return text


def blocks(text: str) -> list[Block]:
    return [Block(*found) for found in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)]


def commands(text: str) -> Iterator[list[str]]:
    """Every command of the shell blocks, as words; lines that end in a backslash go on."""
    for block in blocks(text):
        if block.language in SHELLS:
            for line in block.text.replace("\\\n", " ").splitlines():
                if line.strip() and not line.lstrip().startswith("#"):
                    yield shlex.split(line.replace("\\", "/"), comments=True)


def flags(words: list[str]) -> set[str]:
    return {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}


def server_arguments(words: list[str]) -> list[str] | None:
    """What a command gives to the standalone server; None if it doesn't start or stop one."""
    for number, word in enumerate(words):
        if Path(word).name == "clas-serving":
            return words[number + 1 :]
        if words[number : number + 2] == SERVER_MODULE:
            return words[number + 2 :]
    return None


def refuse_unknown_flags(arguments: list[str]) -> None:
    """The parser takes abbreviations; a document shouldn't have any."""
    parser = cli._parser()
    with pytest.raises(SystemExit) if "--help" in arguments else contextlib.nullcontext():
        parser.parse_args(arguments)
    commands = next(action for action in parser._actions if isinstance(action.choices, dict))
    assert commands.choices is not None
    known = commands.choices[arguments[0]]._option_string_actions  # type: ignore[index]
    assert flags(arguments) <= known.keys(), arguments


def block_of(document: str, language: str) -> str:
    found = [block.text for block in blocks(document) if block.language == language]
    assert len(found) == 1, language
    return found[0]


def table_rows(text: str) -> list[int]:
    """How many columns each table row has."""
    return [line.count("|") for line in text.splitlines() if line.startswith("|")]


def test_both_documents_have_the_same_code_blocks_and_tables(repository: Path) -> None:
    chinese, english = ((repository / name).read_text(encoding="utf-8") for name in DOCUMENTS)
    assert len(blocks(chinese)) > 15
    assert blocks(chinese) == blocks(english)
    assert table_rows(chinese) == table_rows(english)
    headings = [re.findall(r"^#+ ", text, re.MULTILINE) for text in (chinese, english)]
    assert headings[0] == headings[1]


def test_make_targets_exist(document: str, repository: Path) -> None:
    targets = set(re.findall(r"^(\w+):", (repository / "Makefile").read_text(), re.MULTILINE))
    used = {
        word for words in commands(document) if words[0] == "make" for word in words[1:] if "=" not in word
    }
    assert {"demo", "test", "serve", "chaos", "overload", "soak", "bench"} <= used <= targets
    assert set(re.findall(r"`make (\w+)(?: \w+=\w+)?`", document)) <= targets


def test_hub_commands_and_flags_exist(document: str) -> None:
    source = Path(paddlehub.__file__).parent / "commands"
    known = set(re.findall(r'add_argument\("(--\w+)"(?:, "(-\w+)")?', (source / "serving.py").read_text()))
    serving_flags = {flag for pair in known for flag in pair if flag}
    used = [words[words.index("hub") + 1 :] for words in commands(document) if "hub" in words]
    assert {words[0] for words in used} >= {"install", "uninstall", "serving", "show", "list"}
    for words in used:
        assert (source / f"{words[0]}.py").is_file(), words
        if words[0] == "serving":
            assert words[1] in ("start", "stop")
            assert flags(words) <= serving_flags, words


def test_flags_of_the_ways_without_a_server_exist_and_are_described(document: str) -> None:
    known = set(command._parser()._option_string_actions)
    used = [words for words in commands(document) if words[:3] == ["python", "-m", "clas"]]
    assert used
    assert set().union(*(flags(words[3:]) for words in used)) <= known
    settings = {f"--{name}" for name in command._SETTING_FLAGS}
    for flag in known - settings - {"-h", "--help"}:
        assert f"`{flag}`" in document, flag
    runs = [words for words in commands(document) if words[:3] == ["hub", "run", "clas_system"]]
    assert runs
    assert set().union(*(flags(words) for words in runs)) <= set(command._hub_parser()._option_string_actions)


def test_scripts_and_their_flags_exist(document: str, repository: Path) -> None:
    scripts: dict[str, set[str]] = {}
    for words in commands(document):
        for number, word in enumerate(words):
            if word.endswith(".py") and "python" in words[:number]:
                script = word.removeprefix("hubserving/")
                scripts.setdefault(script, set()).update(flags(words[number:]))
    assert {"test_hubserving.py", "clas/module.py"} <= scripts.keys()
    for script, used in scripts.items():
        shown = subprocess.run(
            [sys.executable, "-W", "ignore", script, "--help"],
            cwd=repository,
            capture_output=True,
            text=True,
            check=True,
        )
        assert used <= set(re.findall(r"--\w+", shown.stdout)), script


def test_files_and_extras_to_install_exist(document: str, repository: Path) -> None:
    setup = configparser.ConfigParser()
    setup.read(repository / "setup.cfg")
    extras = setup["options.extras_require"]
    for words in commands(document):
        if "pip" in words:
            for word in words:
                if word.startswith("constraints/"):
                    assert (repository / word).is_file(), words
                for extra in re.findall(r"^\.\[(.+)\]$", word):
                    assert extra in extras, words


def test_json_and_python_blocks_are_valid(document: str) -> None:
    configurations = 0
    for block in blocks(document):
        if block.language == "python":
            ast.parse(block.text)
        if block.language == "json":
            content = json.loads(block.text)
            if "modules_info" in content:
                init_args = dict(content["modules_info"]["clas_system"]["init_args"])
                assert init_args.pop("version") == "1.0.0"
                load_settings(init_args)
                load_options({name: value for name, value in content.items() if name != "modules_info"})
                configurations += 1
    assert configurations >= 2


def test_the_shipped_configuration_is_shown_as_it_is(document: str, repository: Path) -> None:
    shipped = json.loads((repository / "config.json").read_text())
    assert shipped in [json.loads(block.text) for block in blocks(document) if block.language == "json"]


def test_every_setting_and_every_client_flag_is_described(document: str, repository: Path) -> None:
    for field in dataclasses.fields(Settings):
        if field.name != "overridden":
            assert f"`{field.name}`" in document, field.name
    shown = subprocess.run(
        [sys.executable, "test_hubserving.py", "--help"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )
    for flag in set(re.findall(r"--\w+", shown.stdout)) - {"--help"}:
        assert f"`{flag}`" in document, flag


def test_commands_and_flags_of_the_standalone_server_exist(document: str) -> None:
    used = [arguments for words in commands(document) if (arguments := server_arguments(words)) is not None]
    for arguments in used:
        refuse_unknown_flags(arguments)
    assert {arguments[0] for arguments in used} == {"start", "stop"}
    assert {"-c", "-m"} <= set().union(*(flags(arguments) for arguments in used))


def test_every_option_and_metric_of_the_standalone_server_is_described(document: str) -> None:
    for field in dataclasses.fields(ServerOptions):
        assert f"`{field.name}`" in document, field.name
        assert f"`--{field.name}`" in document, field.name
        if field.default not in ("", False) or type(field.default) is int:  # those are shown in words
            default = f"{field.default:g}" if isinstance(field.default, float) else field.default
            assert f"| `{field.name}` | `{default}` |" in document, field.name
    for metric in Metrics().registry.collect():
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        assert f"| `{name}` |" in document, name


def test_all_addresses_have_the_default_port(document: str) -> None:
    used = {
        port
        for words in commands(document)
        if "curl" in words or "test_hubserving.py" in words
        for word in words
        for port in re.findall(r"https?://[\w.]+:(\d+)", word)
    }
    assert used == {str(ServerOptions.port)}


def test_the_dockerfile_is_shown_as_it_is_and_starts_the_server_at_its_port(
    document: str, repository: Path
) -> None:
    dockerfile = (repository / "Dockerfile").read_text()
    assert block_of(document, "dockerfile") == dockerfile
    port = ServerOptions.port
    assert re.findall(r"^EXPOSE (.+)$", dockerfile, re.MULTILINE) == [str(port)]
    assert f"http://127.0.0.1:{port}/health/ready" in dockerfile
    [entry_point] = re.findall(r"^ENTRYPOINT (.+)$", dockerfile, re.MULTILINE)
    arguments = server_arguments(json.loads(entry_point))
    assert arguments is not None
    refuse_unknown_flags(arguments)
    runs = [words for words in commands(document) if words[:2] == ["docker", "run"]]
    assert runs
    for words in runs:
        assert words[words.index("-p") + 1].endswith(f":{port}:{port}")
        refuse_unknown_flags(arguments + words[words.index("clas_system") + 1 :])
    kept = (repository / ".dockerignore").read_text().splitlines()
    for source in re.findall(r"^COPY (\S+)", dockerfile, re.MULTILINE):
        assert (repository / source).exists(), source
        assert f"!{source}" in kept


def test_the_systemd_unit_starts_the_server_and_lets_it_stop_in_time(document: str) -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(block_of(document, "ini"))
    service = unit["Service"]
    arguments = server_arguments(service["ExecStart"].split())
    assert arguments is not None
    refuse_unknown_flags(arguments)
    assert f"`{Path(arguments[-1])}`" in document  # the configuration file that is shown
    assert int(service["TimeoutStopSec"]) > ServerOptions.graceful_timeout_s


def test_no_path_of_a_developers_machine_is_named(document: str) -> None:
    assert not re.search(r"/(work|root|opt|home/\w+)/", document)


def test_a_test_run_of_ci_is_the_readmes(document: str, repository: Path) -> None:
    lines = (repository / ".ci" / "run").read_text().splitlines()
    used = [line for line in lines if line.startswith("make ")]
    assert "make test" in used
    assert all(line in document for line in used)
