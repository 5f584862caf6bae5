"""What the protocol tells of the server and of a model."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from ....pipeline import Pipeline
from ....protocol import MODULE_NAME, VERSION
from .outputs import CLASS_IDS, LABELS, SCORES, output_names
from .tensors import BYTES, DATATYPES

EXTENSIONS: Final = (
    *("binary_tensor_data", "classification", "model_configuration", "parameters", "statistics"),
)
"""Triton's names of what the server has beyond the protocol."""

_ANY: Final = -1


def describe_server() -> dict[str, object]:
    """Return the metadata of the server."""
    return {"name": MODULE_NAME, "version": VERSION, "extensions": EXTENSIONS}


def describe_model(name: str, pipeline: Pipeline) -> dict[str, object]:
    """Return the metadata of a model: the input of its program, and the outputs that can be asked for."""
    return {
        "name": name,
        "platform": _platform(pipeline),
        "inputs": [tensor._asdict() for tensor in _inputs(pipeline)],
        "outputs": [tensor._asdict() for tensor in _outputs(pipeline)],
    }


def describe_configuration(name: str, pipeline: Pipeline, max_images: int) -> dict[str, object]:
    """Return what Triton's clients read of a model's configuration, such as how many images a request takes.

    Args:
        name: The model's.
        pipeline: The model.
        max_images: The most images of a request.
    """
    return {
        "name": name,
        "platform": _platform(pipeline),
        "backend": pipeline.engine.name,
        "max_batch_size": max_images,
        "input": [_configured(tensor) for tensor in _inputs(pipeline)],
        "output": [_configured(tensor) for tensor in _outputs(pipeline)],
        "dynamic_batching": {},
    }


class _Tensor(NamedTuple):
    """What the metadata have of a tensor."""

    name: str
    datatype: str
    shape: Sequence[int]


def _platform(pipeline: Pipeline) -> str:
    return f"{pipeline.engine.name}_{pipeline.engine.format}"


def _inputs(pipeline: Pipeline) -> Sequence[_Tensor]:
    engine = pipeline.engine
    shape = [_ANY, *(_ANY if size is None else size for size in engine.input_shape[1:])]
    return [_Tensor(engine.input_name, DATATYPES[engine.input_dtype], shape)]


def _outputs(pipeline: Pipeline) -> Sequence[_Tensor]:
    datatypes = {SCORES: "FP32", CLASS_IDS: "INT64", LABELS: BYTES}
    sizes = {SCORES: pipeline.output.num_classes}
    names = output_names(pipeline.output)
    return [_Tensor(name, datatypes[name], [_ANY, sizes.get(name, _ANY)]) for name in names]


def _configured(tensor: _Tensor) -> dict[str, object]:
    """Return a tensor as a configuration has it: without the axis of the images."""
    datatype = "STRING" if tensor.datatype == BYTES else tensor.datatype
    return {"name": tensor.name, "data_type": f"TYPE_{datatype}", "dims": tensor.shape[1:]}
