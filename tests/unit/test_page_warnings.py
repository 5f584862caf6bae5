"""What may make results wrong is said in Chinese on the Chinese page: each warning that the code can give."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from clas.image.input_shape import InputShape
from clas.image.model_input import _size_setting
from clas.image.operation_settings import operations_of
from clas.image.operations import WITHOUT_TO_CHW, output_size
from clas.model.exported import ExportedModel, _assumptions
from clas.model.files import ModelFiles
from clas.model.fingerprint import take_fingerprint
from clas.model.label_fit import fit_labels
from clas.model.score_range import ScoreRange
from clas.output.probabilities import Probabilities, probabilities_of
from clas.pipeline import _of_sizes
from clas.settings import Settings
from page_tables import Entry, read_table, translate

NAMES = {
    *("inference", "yml", "ImageNet", "resize_short", "crop_size", "resize_size", "transform_ops"),
    *("ToCHWImage", "params", "py", "N", "any", "class_id_map_file", "names", "txt", "main_indicator"),
    *("features", "softmax", "false", "true", "auto", "sigmoid", "logits", "MultiLabelThreshOutput"),
}
"""What the Chinese has in Latin letters: names of files, settings and their values, and terms."""


@pytest.fixture(scope="module")
def table(repository: Path) -> list[Entry]:
    return read_table(repository / "clas" / "serving" / "http" / "ui" / "warnings.js")


def of_preprocessing() -> Iterator[str]:
    yield WITHOUT_TO_CHW
    yield from _assumptions(Settings())
    for declared in ((None, 3, None, None), (None, 3, 256, 256), (None, 3, None, 256)):
        sizes: Any = SimpleNamespace(declared_shape=declared, input_shape=(None, 3, 224, 224))
        yield _of_sizes(sizes)


def of_shapes() -> Iterator[str]:
    plain = Settings()
    resized = Settings(resize_size=(40, 32))
    listed: Any = SimpleNamespace(transform_ops=(1,), resize_size=())
    for settings, size in (
        (plain, output_size(operations_of(plain))),
        (resized, (40, 32)),
        (listed, (None, 48)),
    ):
        for shape in ((None, 3, 384, 384), (None, 3, 384, None), (None, 1, 224, 224)):
            yield InputShape(shape).refusal_of_images(size, 3, _size_setting(settings, size))


def of_labels() -> Iterator[str]:
    files = [ModelFiles(Path("inference.pdmodel"), Path("inference.pdiparams"))]
    for ids, has_built_in, allowed, file in (
        (range(1, 4), False, False, Path("/data/names.txt")),
        (range(1, 4), False, False, None),
        (range(5), True, False, Path("/data/names.txt")),
        (range(5), False, True, Path("/data/names.txt")),
    ):
        model = ExportedModel(
            programs=files,
            settings=Settings(allow_label_mismatch=allowed),
            config=None,
            labels={number: f"name{number}" for number in ids},
            label_file=file,
            has_built_in_labels=has_built_in,
            fingerprint=take_fingerprint(()),
        )
        yield fit_labels(model, 3)[1]


def of_scores() -> Iterator[str]:
    logits, sigmoids, whole = (
        ScoreRange(-3, 25.5, -9, 40),
        ScoreRange(0, 0.9, 0.1, 2.5),
        ScoreRange(0, 0.9, 1, 1),
    )
    every = itertools.product(
        ("auto", "true", "false"),
        ("Topk", "MultiLabelThreshOutput"),
        (logits, sigmoids, whole),
        (True, False),
    )
    for softmax, indicator, scores, has_labels in every:
        if (softmax, indicator) != ("true", "MultiLabelThreshOutput"):  # which is refused
            settings = Settings(softmax=softmax, main_indicator=indicator)
            yield probabilities_of(settings, 6, scores, has_labels=has_labels).warning
    probabilities = Probabilities()
    probabilities(np.array([[1e-20, 25.5]], np.float32))
    yield probabilities.warning


def test_every_warning_is_known_in_chinese_and_every_sentence_there_is_said(table: list[Entry]) -> None:
    said = {text for some in (of_preprocessing, of_shapes, of_labels, of_scores) for text in some() if text}
    assert len(said) > 20
    used: set[Entry] = set()
    for text in said:
        chinese = translate(table, text, used)
        words = set(re.findall(r"[A-Za-z_]{2,}", re.sub(r"--\w+|\[.*?\]|\de[+-]\d+", "", chinese)))
        assert words <= NAMES, (text, chinese)
    assert set(table) == used


@pytest.mark.parametrize("script", ["reasons.js", "warnings.js"])
def test_a_translation_has_all_that_its_sentence_tells(repository: Path, script: str) -> None:
    entries = read_table(repository / "clas" / "serving" / "http" / "ui" / script)
    assert len(entries) > 20
    for entry in entries:
        places = {int(number) for number in re.findall(r"\{(\d)\}", entry.translation)}
        assert places == set(range(1, re.compile(entry.pattern).groups + 1)), entry
