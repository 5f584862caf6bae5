"""What the configuration pages show of each setting and flag, read from the dataclasses and command lines."""

import argparse
import dataclasses
import json
import re
import sys
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clas.commandline import check, convert, encrypt, rename_module, tune
from clas.commandline import cli as offline
from clas.commandline.flags import LONGEST_S
from clas.serving import cli as server
from clas.serving.on_ray.batch import flags as batch
from clas.serving.options import ServerOptions
from clas.settings import Settings
from clas_client.flags import add_flags
from clas_client.settings import ClientSettings

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "language": "en",
        "name": "Name",
        "flag": "Flag",
        "values": "Values",
        "default": "Default",
        "meaning": "Meaning",
        "text": "text",
        "path": "path",
        "paths": "one or more paths",
        "switch": "no value",
        "numbers": "{count} numbers from {low} to {high}",
        "or_none": ", or none",
        "required": "required",
        "nothing": "none",
        "off": "off",
    },
    "zh": {
        "language": "zh",
        "name": "名称",
        "flag": "参数",
        "values": "取值",
        "default": "默认值",
        "meaning": "含义",
        "text": "文本",
        "path": "路径",
        "paths": "一个或几个路径",
        "switch": "不带值",
        "numbers": "从 {low} 到 {high} 的 {count} 个数",
        "or_none": "，或没有",
        "required": "必填",
        "nothing": "无",
        "off": "关",
    },
}
"""Language -> the words of the tables."""

_UNBOUNDED: Final = 2**31 - 1
"""A maximum from here on only keeps numbers within 32 or 64 bits, so it isn't shown."""
_DEFAULT: Final = r" \(default: (.*?)( of params\.py)?\)$"
"""The end of the help of a flag that is in no dataclass."""
_Actions = Mapping[str, argparse.Action]
_Words = Mapping[str, str]


class Row(NamedTuple):
    """One setting or flag: the cells of its row in a table."""

    name: str
    values: str
    default: str
    meaning: str


def read_rows(language: str) -> dict[str, dict[str, Row]]:
    """Return source -> name -> row, with English meanings.

    The sources: "settings" are the keys of params.py, "server" those at the top level of config.json and the
    flags of `start`, "client", "offline" and "hub_run" the flags of the client, of `python -m clas` and of
    `hub run clas_system`, "tune", "check", "convert", "encrypt" and "rename_module" those of the commands of
    `python -m clas`, "batch" those of `clas-batch`.
    """
    words = WORDS[language]
    [commands] = [
        action for action in server._parser()._actions if isinstance(action, argparse._SubParsersAction)
    ]
    start = commands.choices["start"]
    client = argparse.ArgumentParser()
    add_flags(client)
    settings = {field.name for field in dataclasses.fields(Settings)} - {"use_gpu"}
    options = {field.name for field in dataclasses.fields(ServerOptions)}
    return {
        "settings": _rows_of_keys(Settings, {}, words),
        "server": {
            **_rows_of_flags(start, settings | options, words),
            **_rows_of_keys(ServerOptions, _actions(start), words),
        },
        "client": _rows_of_flag_fields(ClientSettings, _actions(client), words),
        "offline": _rows_of_flags(offline._parser(), settings, words),
        "hub_run": _rows_of_flags(offline._hub_parser(), (), words),
        "tune": _rows_of_flags(tune.parser(), settings, words),
        "check": _rows_of_flags(check.parser(), settings, words),
        "convert": _rows_of_flags(convert.parser(), settings, words),
        "encrypt": _rows_of_flags(encrypt.parser(), settings, words),
        "rename_module": _rows_of_flags(rename_module.parser(), (), words),
        "batch": _rows_of_flags(batch.parser(), settings, words),
    }


def sentence(text: str) -> str:
    """Return a help as a cell has it: with a capital, names in backticks, and no bar that ends the cell."""

    def quoted(match: re.Match[str]) -> str:
        return match[0] if match[0].startswith("`") else f"`{match[0]}`"

    if re.match(r"[a-z]+ ", text):
        text = text[0].upper() + text[1:]
    text = re.sub(r"`[^`]*`|https?://[\w.:/]+|(--)?\b[A-Za-z]\w*_\w+(==\w+)?|--[a-z]+", quoted, text)
    return text.rstrip(".").replace("|", "\\|")


def _rows_of_keys(settings: "type[DataclassInstance]", actions: _Actions, words: _Words) -> dict[str, Row]:
    """The rows of a dataclass whose fields are keys of a file, too, with the short forms of their flags."""
    rows = {}
    for field in _described(settings):
        flags = actions[field.name].option_strings if field.name in actions else []
        names = [field.name, *(flag for flag in flags if not flag.startswith("--"))]
        rows[field.name] = _row_of_field(field, names, words)
    return rows


def _rows_of_flag_fields(
    settings: "type[DataclassInstance]", actions: _Actions, words: _Words
) -> dict[str, Row]:
    """The rows of a dataclass whose fields are flags only."""
    rows = {}
    for field in _described(settings):
        action = actions[field.name]
        row = _row_of_field(field, action.option_strings, words)
        is_switch = action.nargs == 0
        rows[field.name] = row._replace(values=words["switch"], default=words["off"]) if is_switch else row
    return rows


def _rows_of_flags(
    parser: argparse.ArgumentParser, without: Collection[str], words: _Words
) -> dict[str, Row]:
    """The rows of a command line's own flags, which are in no dataclass."""
    return {
        action.dest: Row(
            _quoted(
                action.option_strings or [f"{action.metavar} ..." if action.nargs else str(action.metavar)]
            ),
            _values_of_flag(action, words),
            words["required"] if action.required and action.nargs != "*" else _default_of_flag(action, words),
            sentence(re.sub(_DEFAULT, "", action.help or "")),
        )
        for action in parser._actions
        if action.dest not in without and action.dest not in ("help", "version")
    }


def _described(settings: "type[DataclassInstance]") -> "list[dataclasses.Field[Any]]":
    """The fields with a help; others aren't given by people."""
    return [field for field in dataclasses.fields(settings) if "help" in field.metadata]


def _row_of_field(field: "dataclasses.Field[Any]", names: Iterable[str], words: _Words) -> Row:
    is_required = field.default is dataclasses.MISSING
    default = words["required"] if is_required else _shown(field.default, words)
    return Row(_quoted(names), _values_of_field(field, words), default, sentence(field.metadata["help"]))


def _values_of_field(field: "dataclasses.Field[Any]", words: _Words) -> str:
    if "parse" in field.metadata:
        told: str = field.metadata["values"][words["language"]]
        return told
    low, high = field.metadata.get("range", (None, None))
    if "choices" in field.metadata:
        return _quoted(field.metadata["choices"])
    if "counts" in field.metadata:
        *nothing, count = field.metadata["counts"]
        numbers = words["numbers"].format(count=count, low=f"{low:.10g}", high=f"{high:.10g}")
        return numbers + (words["or_none"] if nothing else "")
    if low is not None:
        return f"≥ {low:.10g}" if high >= _UNBOUNDED else f"{low:.10g} – {high:.10g}"
    if field.type is bool:
        return "`true`, `false`"
    return words["path"] if field.type in (Path, Path | None) else words["text"]


def _values_of_flag(action: argparse.Action, words: _Words) -> str:
    if action.choices:
        return _quoted(action.choices)
    if action.nargs == 0:
        return words["switch"]
    if isinstance(action.type, partial):
        return f"≥ {action.type.args[0]}"  # integer_from
    kind = getattr(action.type, "__name__", "text")
    if kind in ("existing", "file_name", "Path"):
        return words["paths" if action.nargs else "path"]
    if kind == "seconds":
        return f"≤ {LONGEST_S}"
    return "≥ 1" if kind == "positive" else words["text"]


def _default_of_flag(action: argparse.Action, words: _Words) -> str:
    if action.nargs == 0:
        return words["off"]
    told = re.search(_DEFAULT, action.help or "")
    return f"`{told[1]}`" if action.default is None and told else _shown(action.default, words)


def _shown(default: object, words: _Words) -> str:
    if default in (None, "", ()):
        return words["nothing"]
    if default == 1 / 255:
        return "`1 / 255`"
    if isinstance(default, float):
        return f"`{default:g}`"
    return f"`{default}`" if isinstance(default, str) else f"`{json.dumps(default)}`"


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _actions(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    return {action.dest: action for action in parser._actions}
