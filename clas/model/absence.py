"""Says what is in a folder in place of a model, and what to do about it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

PROGRAMS: Final = ("inference.pdmodel", "inference.json")
WEIGHTS: Final = "inference.pdiparams"
ONNX: Final = "inference.onnx"
REMEDY: Final = (
    f"put {PROGRAMS[0]} (or {PROGRAMS[1]}) and {WEIGHTS} there, or {ONNX}, or name another folder: "
    "--inference_model_dir, or inference_model_dir in params.py or in init_args of config.json; "
    "make model exports the default model, and make onnx does without Paddle"
)
"""What to do where there is no model."""

_OLD: Final = ("__model__", "__params__")
"""Program and weights as Paddle 1 names them."""
_MOST_NAMES: Final = 5


def remedy_for(directory: Path) -> str:
    """Return what to do about a folder that lacks a file of the model, after what is there.

    Raises:
        OSError: It can't be listed.
    """
    entries = sorted(directory.iterdir())
    names = [entry.name for entry in entries if entry.is_file()]
    renaming = _renaming(names)
    if renaming:
        return renaming
    if _OLD[0] in names:
        return (
            f"it has {_OLD[0]} with its weights in several files: load it with Paddle's load_inference_model "
            f"and save it with save_inference_model (both in paddle.static) as {PROGRAMS[0]} and {WEIGHTS}"
        )
    trained = next((name for name in names if name.endswith(".pdparams")), "")
    if trained:
        return (
            f"{trained} is a checkpoint of the training: export it with tools/export_model.py of PaddleClas"
        )
    inner = [entry for entry in entries if entry.is_dir() and _is_model([*map(_name, entry.iterdir())])]
    if inner:
        return f"the model is in {inner[0].name}: name that folder, --inference_model_dir {inner[0]}"
    return f"{_content([entry.name for entry in entries])}; {REMEDY}"


def _renaming(names: Sequence[str]) -> str:
    """Say how to name the files of a model by another name; empty unless there is exactly one."""
    programs, weights, onnx = (
        [name for name in names if name.endswith(ending)] for ending in (".pdmodel", ".pdiparams", ".onnx")
    )
    pairs = [("", "")]
    if _OLD[0] in names and _OLD[1] in names:
        pairs = [(_OLD[0], PROGRAMS[0]), (_OLD[1], WEIGHTS)]
    elif len(weights) == 1 and len(programs) <= 1:
        program = programs[0] if programs else weights[0].replace(".pdiparams", ".json")
        wanted = PROGRAMS[0] if programs else PROGRAMS[1]
        pairs = [(program, wanted), (weights[0], WEIGHTS)] if program in names else pairs
    elif len(onnx) == 1 and not (programs or weights):
        pairs = [(onnx[0], ONNX)]
    wrong = [f"{name} to {wanted}" for name, wanted in pairs if name != wanted]
    return f"rename {' and '.join(wrong)}" if wrong else ""


def _is_model(names: Sequence[str]) -> bool:
    return ONNX in names or (WEIGHTS in names and any(program in names for program in PROGRAMS))


def _name(path: Path) -> str:
    return path.name


def _content(names: Sequence[str]) -> str:
    if not names:
        return "it is empty"
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"it has {', '.join(names[:_MOST_NAMES])}{more}"
