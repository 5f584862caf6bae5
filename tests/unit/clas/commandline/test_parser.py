import pytest

from clas.commandline import check, cli, convert, encrypt, tune
from clas.commandline.parser import Parser
from clas.protocol import VERSION
from clas.serving import cli as serving_cli


def error_of(parser: Parser, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that refuses the arguments."""
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args(arguments)
    [line] = capsys.readouterr().err.splitlines()
    return line


@pytest.fixture
def parser() -> Parser:
    made = Parser(prog="program", allow_abbrev=False)
    made.add_argument("--port", type=int)
    made.add_argument("--image_file", required=True)
    return made


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--prot", "1"], "--prot; did you mean --port?"),
        (["--prot=1"], "--prot; did you mean --port?"),
        (["--image-file", "x"], "--image-file; did you mean --image_file?"),  # not: --image_file is missing
        (["--image_file", "x", "--zzzzz"], "--zzzzz"),
    ],
)
def test_an_unknown_flag_is_refused_with_the_nearest_one(
    parser: Parser, capsys: pytest.CaptureFixture[str], arguments: list[str], hint: str
) -> None:
    wanted = f"program: error: there is no flag {hint}; see --help"
    assert error_of(parser, arguments, capsys) == wanted


def test_a_surplus_argument_is_refused(parser: Parser, capsys: pytest.CaptureFixture[str]) -> None:
    line = error_of(parser, ["--image_file", "x", "y"], capsys)
    assert line == "program: error: unrecognized arguments: y; see --help"


def test_what_follows_two_dashes_is_no_flag(parser: Parser) -> None:
    parser.add_argument("paths", nargs="*")
    assert parser.parse_args(["--image_file", "x", "--", "--prot"]).paths == ["--prot"]


def test_a_flag_may_be_shortened_where_that_is_allowed() -> None:
    parser = Parser()
    parser.add_argument("--image_file")
    assert parser.parse_args(["--image_f", "x"]).image_file == "x"


def test_the_flags_of_a_subcommand_are_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    line = error_of(serving_cli._parser(), ["start", "--topp_k", "1"], capsys)
    assert line == "clas-serving start: error: there is no flag --topp_k; did you mean --top_k?; see --help"


@pytest.mark.parametrize(
    "parser",
    [
        cli._parser(),
        cli._hub_parser(),
        serving_cli._parser(),
        *(command.parser() for command in (check, convert, encrypt, tune)),
    ],
    ids=lambda parser: parser.prog,
)
def test_every_program_says_its_version(parser: Parser, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        parser.parse_args(["--version"])
    assert capsys.readouterr().out == f"clas_system {VERSION}\n"


@pytest.mark.parametrize(
    ("parser", "groups"),
    [
        (cli._parser(), ["output", "evaluation", "model", "image", "results"]),
        (
            serving_cli._parser()._subparsers._group_actions[0].choices["start"],  # type: ignore[union-attr, index]
            ["model", "image", "results", "listening", "workers", "limits", "security", "log"],
        ),
    ],
    ids=["offline", "start"],
)
def test_the_help_has_groups(parser: Parser, groups: list[str]) -> None:
    titles = [
        line[:-1] for line in parser.format_help().splitlines() if line.endswith(":") and line[0] != " "
    ]
    assert [title for title in titles if title in groups] == groups
    assert list(parser._by_title) == groups
    ungrouped = {action.dest for action in parser._optionals._group_actions}
    assert ungrouped == {"help", "version"}
