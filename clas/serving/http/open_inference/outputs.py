"""The outputs of an answer: which there are, which a request asks for, and what they hold."""

import dataclasses
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from ....engine.base import Scores
from ....errors import RequestError
from ....fields import refuse_unknown
from ....output.base import Postprocessor, Prediction
from ....output.topk import best_classes
from .parameters import check_parameters, flag, read_value
from .tensors import BYTES, DATATYPES, to_binary

SCORES: Final = "scores"
CLASS_IDS: Final = "class_ids"
LABELS: Final = "labels"

_NO_CLASS: Final = -1
_PARAMETERS: Final = ("binary_data", "classification")


@dataclasses.dataclass(frozen=True)
class RequestedOutput:
    """One output that a request asks for.

    Attributes:
        name: SCORES, CLASS_IDS or LABELS.
        is_binary: Whether it is to be binary data.
        class_count: How many classes are to be named in place of all scores; 0 for the scores.
    """

    name: str
    is_binary: bool
    class_count: int = 0


def output_names(output: Postprocessor) -> Sequence[str]:
    """Return the names of the outputs of a model."""
    return (SCORES, CLASS_IDS, LABELS) if output.labels else (SCORES, CLASS_IDS)


def read_outputs(raw: msgspec.Raw, output: Postprocessor, *, is_binary: bool) -> Sequence[RequestedOutput]:
    """Read which outputs a request asks for; the scores, if it doesn't say.

    Args:
        raw: The JSON.
        output: The model's.
        is_binary: Whether those that don't say it are to be binary data.

    Raises:
        RequestError: It asks for one that there isn't, or twice for the same.
    """
    wanted = "a list of objects with a name"
    entries = read_value("outputs", raw, list[dict[str, object]], wanted) or [{"name": SCORES}]
    names = output_names(output)
    requested: dict[str, RequestedOutput] = {}
    for number, entry in enumerate(entries):
        where = f"outputs[{number}]"
        refuse_unknown(entry, ("name", "parameters"), where, RequestError)
        name = entry.get("name")
        if name not in names:
            raise RequestError(
                f"{where}.name is {reprlib.repr(name)}; the model's outputs are {', '.join(names)}"
            )
        if name in requested:
            raise RequestError(f"{where}.name is {name!r}, which another one has already")
        where += ".parameters"
        given = check_parameters(where, entry.get("parameters"))
        refuse_unknown(given, _PARAMETERS, where, RequestError)
        requested[str(name)] = RequestedOutput(
            str(name),
            flag(f"{where}.binary_data", given.get("binary_data", is_binary)),
            _class_count(given, str(name), f"{where}.classification", output.num_classes),
        )
    return tuple(requested.values())


def _class_count(given: Mapping[str, object], name: str, where: str, num_classes: int) -> int:
    if "classification" not in given:
        return 0
    count = given["classification"]
    if name != SCORES:
        raise RequestError(f"{where} is for {SCORES}, not for {name}")
    if type(count) is not int or not 1 <= count <= num_classes:
        raise RequestError(
            f"{where} is {reprlib.repr(count)}; it takes a whole number from 1 to {num_classes}"
        )
    return count


def write_outputs(
    requested: Sequence[RequestedOutput], scores: Scores, top_k: int, output: Postprocessor
) -> tuple[list[dict[str, object]], list[bytes]]:
    """Return the outputs as the JSON of an answer has them, and the binary data that follow it.

    Args:
        requested: Which ones, in this order.
        scores: [N, outputs of the model].
        top_k: The most classes per image of CLASS_IDS and LABELS.
        output: The model's.
    """
    scores = output.probabilities(scores)
    is_ranked = any(one.name != SCORES for one in requested)
    results = output(scores, top_k) if is_ranked else []
    entries: list[dict[str, object]] = []
    binary: list[bytes] = []
    for one in requested:
        if one.name != SCORES:
            tensor = _ranked(results, one.name)
        elif one.class_count:
            tensor = _classified(output.class_scores(scores), one.class_count, output.labels)
        else:
            tensor = _numbers(output.class_scores(scores))
        entry: dict[str, object] = {"name": one.name, "datatype": tensor.datatype, "shape": tensor.shape}
        if one.is_binary:
            binary.append(to_binary(tensor.items))
            entries.append({**entry, "parameters": {"binary_data_size": len(binary[-1])}})
        else:
            items = tensor.items.ravel().tolist() if isinstance(tensor.items, np.ndarray) else tensor.items
            entries.append({**entry, "data": items})
    return entries, binary


class _Tensor(NamedTuple):
    """A tensor of an answer; `items` are its numbers, or its texts in C order."""

    datatype: str
    shape: Sequence[int]
    items: npt.NDArray[Any] | Sequence[str]


def _numbers(array: npt.NDArray[Any]) -> _Tensor:
    return _Tensor(DATATYPES[array.dtype.name], array.shape, array)


def _texts(rows: Sequence[Sequence[str]]) -> _Tensor:
    """Return a tensor of rows of one length."""
    return _Tensor(BYTES, (len(rows), len(rows[0])), [text for row in rows for text in row])


def _ranked(results: Sequence[Prediction], name: str) -> _Tensor:
    """Return the classes of each image or their labels; rows that are shorter than others are filled."""
    length = max(len(result["class_ids"]) for result in results)
    missing = [length - len(result["class_ids"]) for result in results]
    pairs = list(zip(results, missing, strict=True))
    if name == LABELS:
        return _texts([[*result["label_names"], *[""] * rest] for result, rest in pairs])
    class_ids = [[*result["class_ids"], *[_NO_CLASS] * rest] for result, rest in pairs]
    return _numbers(np.array(class_ids, np.int64).reshape(len(results), length))


def _classified(scores: Scores, count: int, labels: Mapping[int, str]) -> _Tensor:
    """Return the best classes as Triton has them: score:index, and :label if there is one."""
    return _texts(
        [
            [
                f"{score:f}:{class_id}" + (f":{labels[class_id]}" if labels.get(class_id) else "")
                for class_id, score in zip(class_ids, best, strict=True)
            ]
            for class_ids, best in best_classes(scores, count)
        ]
    )
