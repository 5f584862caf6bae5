from pathlib import Path
from typing import Any

import paddle
import pytest

from clas.errors import ModelLoadError, SettingsError
from clas.model.files import ModelFiles
from clas.model.program import read_program
from clas.model.signature import Signature, read_signature
from tiny_models import brightest_channel, features_and_scores, three_best, write_model

FORMATS = pytest.mark.parametrize("suffix", ["pdmodel", "json"])


def signature_of(directory: Path, suffix: str, network: Any, *output_names: str, **model: Any) -> Signature:
    write_model(directory, network, json=suffix == "json", **model)
    files = ModelFiles(directory / f"inference.{suffix}", directory / "inference.pdiparams")
    return read_signature(files, output_names)


@FORMATS
def test_an_input_that_is_no_image_is_refused(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(ModelLoadError, match=r"classifier: its inputs are 'inputs' \[N, 7\] float32; one of"):
        signature_of(tmp_path, suffix, lambda x: x, input_shape=(None, 7))


@FORMATS
@pytest.mark.parametrize("dtype", ["int64", "int8", "int32"])
def test_an_input_of_another_type_is_refused(tmp_path: Path, dtype: str, suffix: str) -> None:
    with pytest.raises(
        ModelLoadError, match=rf"an input 'inputs' \[N, 3, 32, 32\] {dtype}, which is not supp"
    ):
        signature_of(tmp_path, suffix, None, dtype=dtype)


@FORMATS
def test_several_outputs_that_may_be_the_scores_are_refused_by_name_and_shape(
    tmp_path: Path, suffix: str
) -> None:
    message = (
        r"has several outputs that may be the scores: '\w+' \[N, 128\] float32 by slice, "
        r"'[\w.]+' \[N, 6\] float32 by softmax; set output_name to the name of one of them, "
        "or output_names to join several"
    )
    with pytest.raises(ModelLoadError, match=message):
        signature_of(tmp_path, suffix, features_and_scores)


@FORMATS
@pytest.mark.parametrize(("place", "width"), [(0, 128), (1, 6)])
def test_output_name_chooses(tmp_path: Path, suffix: str, place: int, width: int) -> None:
    write_model(tmp_path, features_and_scores, json=suffix == "json")
    files = ModelFiles(tmp_path / f"inference.{suffix}", tmp_path / "inference.pdiparams")
    names = [output.name for output in read_program(files).outputs]
    found = read_signature(files, [names[place]])
    assert [(output.name, output.shape) for output in found.scores] == [(names[place], (None, width))]
    assert [output.name for output in found.ignored] == [names[1 - place]]


@FORMATS
def test_output_names_chooses_several_in_their_order(tmp_path: Path, suffix: str) -> None:
    write_model(tmp_path, features_and_scores, json=suffix == "json")
    files = ModelFiles(tmp_path / f"inference.{suffix}", tmp_path / "inference.pdiparams")
    names = [output.name for output in read_program(files).outputs]
    found = read_signature(files, names[::-1])
    assert (found.output_names, found.ignored) == (names[::-1], ())


@FORMATS
def test_outputs_of_another_rank_can_not_be_joined(tmp_path: Path, suffix: str) -> None:
    write_model(tmp_path, lambda image: (image * 2, brightest_channel(6)(image)), json=suffix == "json")
    files = ModelFiles(tmp_path / f"inference.{suffix}", tmp_path / "inference.pdiparams")
    names = [output.name for output in read_program(files).outputs]
    with pytest.raises(
        SettingsError, match=r"output_names has '.*' \[N, 3, 32, 32\].*, which can't be joined"
    ):
        read_signature(files, names)


@FORMATS
def test_a_name_that_is_no_outputs_is_refused_with_the_names_that_are(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(
        SettingsError, match=r"output_name is 'scores', but the outputs of .* are '[\w.]+' \[N, 6"
    ):
        signature_of(tmp_path, suffix, None, "scores")


def with_parity(image: Any) -> Any:
    """Integers beside the scores: which of the classes are above a half."""
    scores = brightest_channel(6)(image)
    return (scores > 0.5).astype("int64"), scores


@FORMATS
def test_integers_are_never_the_scores(tmp_path: Path, suffix: str) -> None:
    found = signature_of(tmp_path, suffix, with_parity)
    assert [[output.dtype for output in each] for each in (found.scores, found.ignored)] == [
        ["float32"],
        ["int64"],
    ]
    with pytest.raises(SettingsError, match="has no scores: they are floats"):
        signature_of(tmp_path, suffix, with_parity, found.ignored[0].name)


@FORMATS
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_top_k_inside_the_program_is_refused(tmp_path: Path, suffix: str, place: int) -> None:
    networks = (three_best, lambda image: three_best(image)[1], lambda image: 0.5 * three_best(image)[1])
    with pytest.raises(
        ModelLoadError, match=r"sorts its scores itself: the place in '.*' \[N, 3\] float32 by"
    ):
        signature_of(tmp_path, suffix, networks[place])


def ranking_and_scores(image: Any) -> Any:
    scores = brightest_channel(6)(image)
    return paddle.argsort(scores, axis=1, descending=True), scores


@FORMATS
def test_scores_beside_a_ranking_are_used_when_they_are_named(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(
        ModelLoadError, match=r"may have sorted its scores: .* set output_name to '[\w.]+'"
    ) as caught:
        signature_of(tmp_path, suffix, ranking_and_scores)
    name = str(caught.value).partition("set output_name to '")[2].partition("'")[0]
    files = ModelFiles(tmp_path / f"inference.{suffix}", tmp_path / "inference.pdiparams")
    [scores] = read_signature(files, [name]).scores
    assert scores.operator == "softmax"


def test_a_model_without_scores_is_refused(tmp_path: Path) -> None:
    """Paddle 3 can't write an argmax as .pdmodel."""
    with pytest.raises(
        ModelLoadError, match=r"returns no scores: its outputs are 'fetch_name_0' \[N\] int64 by argm"
    ):
        signature_of(tmp_path, "json", lambda image: paddle.argmax(brightest_channel(6)(image), axis=1))
