"""Converts a model of Paddle's to ONNX by paddle2onnx; for a process of its own, since it may crash."""

import contextlib
import io
import re
import tempfile
from pathlib import Path
from typing import Any, Final

from ..errors import ModelLoadError
from ..model.files import ModelFiles
from ..model.program import read_program

# By default paddle2onnx folds constants with polygraphy when it writes the file itself, and polygraphy has
# pip install what it lacks. So neither is asked for; the engines fold them, too.
_NO_TOOL: Final = "None"
_FAILURE: Final = re.compile(r"Failed to convert PaddlePaddle model: (.*)")
_COLOURS: Final = re.compile(r"\x1b\[[\d;]*m")


def export_onnx(files: ModelFiles, target: Path) -> None:
    """Write a model as ONNX, with inputs and outputs of the same names.

    Args:
        files: A model in one of Paddle's formats.
        target: The new file; temporary ones are written beside it.

    Raises:
        ModelLoadError: paddle2onnx can't convert it.
    """
    tempfile.tempdir = str(target.parent)
    import onnx  # noqa: PLC0415  # see module.py on late imports
    import paddle2onnx  # noqa: PLC0415

    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            content: bytes = paddle2onnx.export(
                str(files.program), str(files.weights), optimize_tool=_NO_TOOL
            )
    except Exception as exc:  # of any type: it prints the reason, and fails of having no result
        found = _FAILURE.search(_COLOURS.sub("", said.getvalue()))
        reason = found[1] if found else f"{type(exc).__name__}: {exc}"
        raise ModelLoadError(f"{files.program} can't be converted by paddle2onnx: {reason}") from exc
    model: Any = onnx.load_from_string(content)
    _rename_outputs(model, [output.name for output in read_program(files).outputs])
    onnx.save(model, str(target))


def _rename_outputs(model: Any, names: list[str]) -> None:  # noqa: ANN401  # onnx has no types
    """Give the outputs their names in Paddle's program, which settings may name."""
    graph = model.graph
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    outputs = [output.name for output in graph.output]
    if len(outputs) != len(names) or taken & {*names} - {*outputs}:
        return
    new: dict[str, str] = dict(zip(outputs, names, strict=True))
    for node in graph.node:
        node.input[:] = [new.get(name, name) for name in node.input]
        node.output[:] = [new.get(name, name) for name in node.output]
    for output in graph.output:
        output.name = new[output.name]
