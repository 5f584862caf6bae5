"""Both languages of the documents say the same; the commands, flags, files and links in them exist.

Commands are checked in the English documents only: the Chinese ones have the same code blocks.
"""

import argparse
import ast
import configparser
import contextlib
import itertools
import json
import re
import subprocess
from pathlib import Path

import paddlehub
import pytest

from clas.commandline import check, convert, encrypt, rename_module, tune
from clas.commandline import cli as offline
from clas.protocol import VERSION
from clas.serving import cli as server
from clas.serving.launch import plan_launch
from clas.serving.metrics import Metrics
from clas.serving.on_ray.batch import flags as batch
from clas.serving.options import ServerOptions, load_options
from clas.settings import SETTING_NAMES, load_settings
from clas_client.flags import add_flags
from documents import (
    all_documents,
    anchors,
    blocks,
    commands,
    flags,
    links,
    manual,
    prose,
    server_arguments,
)

PAGES = {
    *(
        "index",
        "install",
        "models",
        "engines",
        "paddlehub",
        "server",
        "several_models",
        "operations",
        "security",
        "deploy",
        "ray",
        "batch",
    ),
    *("client", "offline", "api", "configuration", "troubleshooting", "performance"),
}
READMES = {"README.md", "readme_en.md"}  # each has a link to the other


@pytest.fixture(scope="module")
def english(repository: Path) -> str:
    """All English documents in one text."""
    documents = [*manual(repository, "en"), repository / "CONTRIBUTING.md"]
    return "\n".join(document.read_text(encoding="utf-8") for document in documents)


def offline_flags(command: str = "") -> set[str]:
    """Those of `python -m clas`, or of one of its commands."""
    commands = {"tune": tune, "check": check, "convert": convert, "encrypt": encrypt}
    commands["rename_module"] = rename_module
    parsers = {name: module.parser for name, module in commands.items()}
    return set(parsers.get(command, offline._parser)()._option_string_actions)


def batch_flags() -> set[str]:
    return set(batch.parser()._option_string_actions)


def client_flags() -> set[str]:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return set(parser._option_string_actions)


def refuse_unknown_flags(arguments: list[str]) -> None:
    """Parse what is given to the standalone server."""
    parser = server._parser()
    with pytest.raises(SystemExit) if "--help" in arguments else contextlib.nullcontext():
        parser.parse_args(arguments)
    subparsers = next(action for action in parser._actions if isinstance(action.choices, dict))
    assert subparsers.choices is not None
    known = subparsers.choices[arguments[0]]._option_string_actions  # type: ignore[index]
    assert flags(arguments) <= known.keys(), arguments


def table_rows(text: str) -> list[int]:
    """How many columns each table row has."""
    return [line.count(" | ") for line in text.splitlines() if line.startswith("|")]


def test_both_languages_have_the_same_pages(repository: Path) -> None:
    for language in ("en", "zh"):
        assert {path.stem for path in manual(repository, language)[1:]} == PAGES, language


@pytest.mark.parametrize("number", range(len(PAGES) + 1))
def test_a_page_has_the_same_code_blocks_tables_and_headings_in_both_languages(
    repository: Path, number: int
) -> None:
    chinese, english = (
        manual(repository, language)[number].read_text(encoding="utf-8") for language in ("zh", "en")
    )
    assert blocks(chinese) == blocks(english)
    assert table_rows(prose(chinese)) == table_rows(prose(english))
    headings = [re.findall(r"^#+ ", prose(text), re.MULTILINE) for text in (chinese, english)]
    assert headings[0] == headings[1]
    files = [
        {link.partition("#")[0].replace("docs/zh/", "docs/en/") for link in links(text)}
        for text in (chinese, english)
    ]
    assert files[0] - READMES == files[1] - READMES


def test_the_readmes_are_short(repository: Path) -> None:
    for name in READMES:
        assert len((repository / name).read_text(encoding="utf-8").splitlines()) <= 200, name


def test_all_links_lead_to_files_and_headings(repository: Path) -> None:
    broken = []
    for document in all_documents(repository):
        for link in links(document.read_text(encoding="utf-8")):
            path, _, anchor = link.partition("#")
            target = (document.parent / path).resolve() if path else document
            is_there = target.is_file()  # the site has no folders
            if is_there and anchor:
                is_there = anchor in anchors(target.read_text(encoding="utf-8"))
            if not is_there:
                broken.append(f"{document.relative_to(repository)}: {link}")
    assert not broken


def test_lists_and_tables_stand_apart_from_the_text_before_them(repository: Path) -> None:
    """Code hosts don't need that; MkDocs would run them into the paragraph."""
    for document in all_documents(repository):
        lines = prose(document.read_text(encoding="utf-8")).splitlines()
        for before, line in itertools.pairwise(lines):
            for start in (r"- |\d+\. ", r"\|"):
                if re.match(start, line) and before and not before.startswith((" ", "<!--")):
                    assert re.match(start, before), f"{document.relative_to(repository)}: {line}"


def test_no_path_of_a_developers_machine_is_named(repository: Path) -> None:
    for document in all_documents(repository):
        text = document.read_text(encoding="utf-8")
        assert not re.search(r"/(work|root|opt|home/\w+)/", text), document


def test_no_document_names_sections_by_number(repository: Path) -> None:
    for document in all_documents(repository):
        text = document.read_text(encoding="utf-8")
        assert not re.search(r"\b[Ss]ections? \d|第 ?\d+ ?节", text), document


def test_modules_that_moved_are_where_the_changelog_says(repository: Path) -> None:
    changes = (repository / "CHANGELOG.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(clas[\w.]*)`.*? \| (.*) \|$", changes, re.MULTILINE)
    assert len(rows) > 40
    still_there = {"clas.classifier", "clas.preprocess", "clas.serving.ray_app"}
    for old, new in rows:
        paths = [repository / f"{name.replace('.', '/')}.py" for name in re.findall(r"`(clas[\w.]+)`", new)]
        assert paths
        assert all(path.is_file() for path in paths), new
        assert (repository / f"{old.replace('.', '/')}.py").is_file() == (old in still_there), old


def test_make_targets_exist(english: str, repository: Path) -> None:
    targets = set(re.findall(r"^([\w ]+):", (repository / "Makefile").read_text(), re.MULTILINE))
    targets = {name for names in targets for name in names.split()}
    used = {
        word for words in commands(english) if words[0] == "make" for word in words[1:] if "=" not in word
    }
    assert {"demo", "test", "check", "docs", "serve", "chaos", "overload", "soak", "bench"} <= used <= targets
    assert set(re.findall(r"`make (\w+)(?: \w+=\w+)?`", english)) <= targets


def test_make_help_lists_every_target(repository: Path) -> None:
    done = subprocess.run(["make", "help"], cwd=repository, capture_output=True, text=True, check=True)
    listed = {
        target for line in done.stdout.splitlines() for target in re.findall(r"^make ([a-z]+) +\S", line)
    }
    [phony] = re.findall(r"^\.PHONY: (.*)$", (repository / "Makefile").read_text(), re.MULTILINE)
    assert listed == set(phony.split()) - {"venv", "browser"}  # parts of others


def test_what_ci_runs_is_described(repository: Path) -> None:
    lines = (repository / ".ci" / "run").read_text().splitlines()
    used = [line for line in lines if line.startswith("make ")]
    assert used
    contributing = (repository / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert all(f"`{line.partition(' #')[0]}`" in contributing for line in used)


def test_each_pinned_set_is_made_by_the_command_in_it(english: str, repository: Path) -> None:
    sets = sorted((repository / "constraints").glob("*.txt"))
    for path in sets:
        if not path.name.startswith("overrides"):
            command = path.read_text().splitlines()[1].removeprefix("#").strip()
            assert command.startswith("uv pip compile")
            assert command in english, path.name


def test_hub_commands_and_flags_exist(english: str) -> None:
    source = Path(paddlehub.__file__).parent / "commands"
    known = set(re.findall(r'add_argument\("(--\w+)"(?:, "(-\w+)")?', (source / "serving.py").read_text()))
    serving_flags = {flag for pair in known for flag in pair if flag}
    used = [words[words.index("hub") + 1 :] for words in commands(english) if "hub" in words]
    assert {words[0] for words in used} >= {"install", "uninstall", "serving", "show", "list"}
    for words in used:
        assert (source / f"{words[0]}.py").is_file(), words
        if words[0] == "serving":
            assert words[1] in ("start", "stop")
            assert flags(words) <= serving_flags, words


def test_flags_of_the_programs_without_a_server_exist(english: str) -> None:
    used = [
        words[3:]
        for words in commands(english)
        if words[0].endswith("python") and words[1:3] == ["-m", "clas"]
    ]
    assert {words[0] for words in used} >= offline.COMMANDS.keys()
    for words in used:
        assert flags(words) <= offline_flags(words[0]), words
    runs = [words for words in commands(english) if words[:3] == ["hub", "run", "clas_system"]]
    assert runs
    assert set().union(*(flags(words) for words in runs)) <= set(offline._hub_parser()._option_string_actions)


def test_scripts_and_their_flags_exist(english: str, repository: Path) -> None:
    scripts: dict[str, set[str]] = {}
    for words in commands(english):
        for number, word in enumerate(words):
            if word.endswith(".py") and any(name.endswith("python") for name in words[:number]):
                script = word.removeprefix("hubserving/")
                scripts.setdefault(script, set()).update(flags(words[number:]))
    assert {"test_hubserving.py", "clas/module.py"} <= scripts.keys()
    for script, used in scripts.items():
        source = (repository / script).read_text(encoding="utf-8")
        known = client_flags() if script == "test_hubserving.py" else set(re.findall(r'"(--\w+)"', source))
        assert used <= known, script


def test_files_and_extras_to_install_exist(english: str, repository: Path) -> None:
    setup = configparser.ConfigParser()
    setup.read(repository / "setup.cfg")
    extras = setup["options.extras_require"]
    for words in commands(english):
        for word in words:
            if word.startswith(("constraints/", "deploy/", "benchmarks/", "tools/", "tests/")):
                assert (repository / word).exists(), words
        if "pip" in words:
            for word in words:
                for extra in re.findall(r"^\.\[(.+)\]$", word):
                    assert extra in extras, words


def test_json_and_python_blocks_are_valid(english: str) -> None:
    for block in blocks(english):
        if block.language == "python":
            ast.parse(block.text)
        if block.language == "json":
            json.loads(block.text)


def test_each_configuration_shown_is_a_file_and_loads(english: str, repository: Path) -> None:
    paths = [repository / "config.json", *(repository / "deploy").glob("*.json")]
    files = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    for content in files:
        for module in content["modules_info"].values():
            init_args = dict(module["init_args"])
            assert init_args.pop("version", VERSION) == VERSION
            load_settings(init_args)
        load_options({name: value for name, value in content.items() if name != "modules_info"})
    contents = [json.loads(block.text) for block in blocks(english) if block.language == "json"]
    shown = [content for content in contents if "modules_info" in content]
    assert files[0] in shown
    assert all(content in files for content in shown)
    for path in paths:
        assert path.name in english, path.name


def test_the_example_of_several_models_is_planned_as_the_page_says(repository: Path) -> None:
    models = plan_launch({"config": str(repository / "deploy" / "several_models.json")}).models
    assert {name: settings.inference_model_dir for name, settings in models.items()} == {
        "flowers": "/data/models/flowers",
        "garbage": "/data/models/garbage",
    }
    assert models["flowers"].topk == 3
    assert (models["garbage"].main_indicator, models["garbage"].threshold) == ("MultiLabelThreshOutput", 0.3)


def test_flags_of_the_job_on_ray_exist(english: str) -> None:
    jobs = [words for words in commands(english) if "clas.serving.on_ray.batch" in words]
    assert len(jobs) > 2
    for words in jobs:
        start = words.index("clas.serving.on_ray.batch")
        assert {"--input", "--output"} <= flags(words[start:]) <= batch_flags(), words


def test_every_flag_is_in_the_table_of_its_program(repository: Path) -> None:
    page = (repository / "docs" / "en" / "configuration.md").read_text(encoding="utf-8")
    others = offline_flags() | set(offline._hub_parser()._option_string_actions)
    others |= set().union(*(offline_flags(command) for command in offline.COMMANDS))
    others |= batch_flags()
    for flag in (client_flags() | others) - {"-h", "--help"} - {f"--{name}" for name in SETTING_NAMES}:
        assert f"`{flag}`" in page, flag


def test_commands_and_flags_of_the_standalone_server_exist(english: str) -> None:
    used = [arguments for words in commands(english) if (arguments := server_arguments(words)) is not None]
    for arguments in used:
        refuse_unknown_flags(arguments)
    assert {arguments[0] for arguments in used} == {"start", "stop", "status", "reload"}
    assert {"-c", "-m"} <= set().union(*(flags(arguments) for arguments in used))


def test_every_metric_is_described(repository: Path) -> None:
    for language in ("en", "zh"):
        page = (repository / "docs" / language / "operations.md").read_text(encoding="utf-8")
        for metric in Metrics().registry.collect():
            name = f"{metric.name}_total" if metric.type == "counter" else metric.name
            assert f"| `{name}` |" in page, name


def test_all_addresses_have_the_default_port(english: str) -> None:
    used = {
        port
        for words in commands(english)
        if "curl" in words or "test_hubserving.py" in words
        for word in words
        for port in re.findall(r"https?://[\w.]+:(\d+)", word)
    }
    assert used == {str(ServerOptions.port)}


def test_the_containers_of_the_documents_can_be_reached_and_have_valid_flags(
    english: str, repository: Path
) -> None:
    dockerfile = (repository / "Dockerfile").read_text()
    port = ServerOptions.port
    assert re.findall(r"^EXPOSE (.+)$", dockerfile, re.MULTILINE) == [str(port)]
    [entry_point] = re.findall(r"^ENTRYPOINT (.+)$", dockerfile, re.MULTILINE)
    arguments = server_arguments(json.loads(entry_point))
    assert arguments is not None
    refuse_unknown_flags(arguments)
    runs = [words for words in commands(english) if words[:2] == ["docker", "run"]]
    assert runs
    for words in runs:
        assert words[words.index("-p") + 1].endswith(f":{port}:{port}")
        refuse_unknown_flags(arguments + words[words.index("clas_system") + 1 :])
