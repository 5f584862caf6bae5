import re
from pathlib import Path
from typing import Any

import pytest

from clas.errors import LabelFileError
from clas.model.exported import ExportedModel
from clas.model.files import ModelFiles
from clas.model.fingerprint import take_fingerprint
from clas.model.label_fit import fit_labels
from clas.settings import Settings


def model_with(*ids: int, built_in: bool = False, **settings: Any) -> ExportedModel:
    return ExportedModel(
        programs=[ModelFiles(Path("inference.pdmodel"), Path("inference.pdiparams"))],
        settings=Settings(**settings),
        config=None,
        labels={number: f"name{number}" for number in ids},
        label_file=Path("/data/names.txt") if ids else None,
        has_built_in_labels=built_in,
        fingerprint=take_fingerprint(()),
    )


@pytest.mark.parametrize("ids", [(0, 1, 2), (2, 0, 1), ()])
def test_labels_of_all_classes_are_kept(ids: tuple[int, ...]) -> None:
    model = model_with(*ids)
    assert fit_labels(model, 3) == (model.labels, "")


def test_labels_that_count_from_one_can_only_be_one_too_high() -> None:
    labels, warning = fit_labels(model_with(2, 1, 3), 3)
    assert labels == {0: "name1", 1: "name2", 2: "name3"}
    assert warning == "the labels of names.txt count from 1: 1 is taken for class 0, and 3 for class 2"


@pytest.mark.parametrize("ids", [(0, 1), (0, 1, 2, 3), (1, 2), (0, 1, 3), (1, 2, 3, 4), (7, 8, 9)])
def test_other_ids_are_refused_with_the_setting_that_allows_them(ids: tuple[int, ...]) -> None:
    message = f"{len(ids)} labels with ids {min(ids)} to {max(ids)}, but the model has 3 classes, 0 to 2"
    with pytest.raises(
        LabelFileError, match=re.escape(f"/data/names.txt has {message}: set class_id")
    ) as caught:
        fit_labels(model_with(*ids), 3)
    assert "or set allow_label_mismatch to true" in str(caught.value)
    allowed = model_with(*ids, allow_label_mismatch=True)
    assert fit_labels(allowed, 3) == (allowed.labels, f"names.txt has {message}")


def test_the_built_in_list_is_dropped_where_it_does_not_fit() -> None:
    labels, warning = fit_labels(model_with(0, 1, 2, built_in=True), 2)
    assert labels == {}
    assert warning.startswith(
        "the built-in label list isn't used: it has 3 labels with ids 0 to 2, but the mod"
    )
