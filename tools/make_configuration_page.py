"""Write the tables of docs/en/configuration.md and docs/zh/configuration.md.

    python tools/make_configuration_page.py

Names, values, defaults and the English texts come from the dataclasses of the settings and from the command
lines; the Chinese texts are in docs/zh/configuration_texts.json. A page has each table between
`<!-- table: NAME -->` and `<!-- end -->`; everything else in it is written by hand.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from configuration_rows import WORDS, Row, read_rows, sentence

REPOSITORY: Final = Path(__file__).resolve().parents[1]
LANGUAGES: Final = ("en", "zh")
TABLES: Final[Mapping[str, tuple[str, str]]] = {
    "model": ("settings", "inference_model_dir model_name model_key_file max_batch_size"),
    "device": (
        "settings",
        "engine use_gpu gpu_mem enable_mkldnn cpu_num_threads precision use_tensorrt ir_optim",
    ),
    "sizes": ("settings", "resize_short crop_size resize_size interpolation resize_backend"),
    "values": ("settings", "mean std scale"),
    "decoding": ("settings", "max_image_pixels reduced_decode"),
    "results": (
        "settings",
        (
            "main_indicator topk min_score threshold label_0 label_1 default_label_index "
            "class_id_map_file allow_label_mismatch output_name output_names softmax"
        ),
    ),
    "attributes": (
        "settings",
        (
            "glasses_threshold hold_threshold color_threshold type_threshold source_threshold "
            "number_threshold clarity_threshold obstruction_threshold angle_threshold convert_cn"
        ),
    ),
    "forms": ("settings", "groups decimal_places binarize_method feature_format"),
    "start": ("server", "config modules model use_gpu"),
    "models": ("server", "model_repository max_loaded_models model_control watch"),
    "address": ("server", "host port root_path forwarded_allow_ips"),
    "processes": ("server", "use_multiprocess workers predictors gpu max_requests"),
    "times": ("server", "timeout_s graceful_timeout_s keep_alive_s batch_wait_ms"),
    "limits": ("server", "max_queue_images max_queue_bytes max_request_bytes"),
    "security": ("server", "token_file admin_token_file tls_cert_file tls_key_file allow_origin"),
    "log": ("server", "log_format log_level log_file"),
    "requests": (
        "client",
        "server_url image_file batch_size concurrency timeout retries token_file top_k",
    ),
    "images": ("client", "wire preprocess resize_short crop_size normalize to_chw reduced_decode"),
    "files": ("client", "output resume quiet report label_file labels_from_folders metrics"),
    "offline": (
        "offline",
        "paths top_k use_gpu format report label_file labels_from_folders metrics verbose",
    ),
    "hub_run": ("hub_run", "input_path top_k batch_size"),
    "batch": (
        "batch",
        (
            "input output format part_rows column num_cpus min_actors max_actors use_gpu "
            "label_file labels_from_folders metrics verbose"
        ),
    ),
    "tune": ("tune", "paths use_gpu seconds format verbose"),
    "check": ("check", "paths use_gpu seconds format verbose"),
    "convert": ("convert", "directory output images verbose"),
    "encrypt": ("encrypt", "directory output key_file generate_key verbose"),
    "rename_module": ("rename_module", "directory name inference_model_dir"),
}
"""Table -> its source, and the names in it in their order."""


class PageError(Exception):
    """A name, a text or a table is missing, or nothing uses it."""


def main(argv: list[str] | None = None) -> int:
    """Write both pages and return the exit status."""
    argparse.ArgumentParser(description="Write the tables of the configuration pages.").parse_args(argv)
    try:
        pages = {page_path(language): make_page(language) for language in LANGUAGES}
    except PageError as exc:
        print(f"make_configuration_page: {exc}", file=sys.stderr)
        return 1
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")
    return 0


def page_path(language: str) -> Path:
    """Return the page in a language."""
    return REPOSITORY / "docs" / language / "configuration.md"


def make_page(language: str) -> str:
    """Return the text of a page with its tables made anew.

    Raises:
        PageError: A table, a name or a text is missing, or nothing uses it.
    """
    rows = read_rows(language)
    for source, found in rows.items():
        listed = [name for where, names in TABLES.values() if where == source for name in names.split()]
        check_names(f"TABLES, {source}", listed, found)
    if language != "en":
        path = page_path(language).with_name("configuration_texts.json")
        rows = with_texts(rows, json.loads(path.read_text(encoding="utf-8")))
    tables = {
        table: make_table(language, [rows[source][name] for name in names.split()])
        for table, (source, names) in TABLES.items()
    }
    return replace_tables(page_path(language).read_text(encoding="utf-8"), tables)


def with_texts(
    rows: Mapping[str, Mapping[str, Row]], texts: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, Row]]:
    """Return the rows with translated meanings.

    Raises:
        PageError: A text is missing, or its name doesn't exist any more.
    """
    check_names("the texts", texts, rows)
    for source, found in rows.items():
        check_names(f"the texts, {source}", texts[source], found)
    return {
        source: {name: row._replace(meaning=sentence(texts[source][name])) for name, row in found.items()}
        for source, found in rows.items()
    }


def make_table(language: str, rows: Iterable[Row]) -> str:
    """Return the Markdown of a table."""
    rows, words = list(rows), WORDS[language]
    is_key = re.match(r"`[a-z]", rows[0].name)
    head = [words[key] for key in ("name" if is_key else "flag", "values", "default", "meaning")]
    lines = [f"| {' | '.join(head)} |", "|---|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]
    return "".join(f"{line}\n" for line in lines)


def replace_tables(text: str, tables: Mapping[str, str]) -> str:
    """Return the text with what stands between the marks of each table replaced.

    Raises:
        PageError: A table has no place in the text, or a place has no table.
    """
    marks = re.compile(r"^(<!-- table: (\w+) -->\n).*?^(<!-- end -->)$", re.MULTILINE | re.DOTALL)
    check_names("the page's tables", [match[2] for match in marks.finditer(text)], tables)
    return marks.sub(lambda match: f"{match[1]}\n{tables[match[2]]}\n{match[3]}", text)


def check_names(where: str, names: Iterable[str], wanted: Iterable[str]) -> None:
    """Raise PageError unless both are the same names."""
    names, wanted = set(names), set(wanted)
    if missing := sorted(wanted - names):
        raise PageError(f"{where}: missing: {', '.join(missing)}")
    if stale := sorted(names - wanted):
        raise PageError(f"{where}: not in use: {', '.join(stale)}")


if __name__ == "__main__":
    sys.exit(main())
