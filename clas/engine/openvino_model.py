"""Reads a model with OpenVINO, and says what it takes and returns."""

import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from ..errors import DeviceError
from ..model.files import ModelFiles
from ..model.program import Program, Tensor
from ..model.signature import Signature, choose_signature, read_signature

if TYPE_CHECKING:
    import openvino

DEVICE: Final = "CPU"
_TELEMETRY: Final = "openvino_telemetry"


def import_openvino() -> ModuleType:
    """Import OpenVINO without its telemetry, which pip installs with it.

    It would start a process that sends an event to an analytics service, leave files in the home directory,
    and take 60 ms. Where it isn't to be had, OpenVINO has a stub of its own in its place.
    """
    blocked: dict[str, ModuleType | None] = sys.modules  # type: ignore[assignment]
    if _TELEMETRY not in blocked:
        blocked[_TELEMETRY] = None
    try:
        import openvino  # noqa: PLC0415  # see module.py on late imports
    finally:
        if blocked[_TELEMETRY] is None:
            del blocked[_TELEMETRY]
    module: ModuleType = openvino
    return module


def read_model(core: "openvino.Core", files: ModelFiles) -> "openvino.Model":
    """Read a model, an encrypted one from memory; raises RuntimeError if OpenVINO can't."""
    has_its_own = files.weights == files.program
    if files.key_file:
        program = files.read(files.program)
        return (
            core.read_model(program) if has_its_own else core.read_model(program, files.read(files.weights))
        )
    return core.read_model(files.program) if has_its_own else core.read_model(files.program, files.weights)


def signature_of(model: "openvino.Model", files: ModelFiles, output_names: Sequence[str]) -> Signature:
    """Return the input and the outputs that are used: of a program of Paddle by its file, else by the model.

    Raises:
        ModelLoadError: As `choose_signature`.
        SettingsError: As `choose_signature`.
    """
    if files.format != "onnx":
        return read_signature(files, output_names)
    inputs = tuple(_tensor(port) for port in model.inputs)
    outputs = tuple(_tensor(port, _operator(port)) for port in model.outputs)
    return choose_signature(Program(inputs, outputs), files.program, output_names)


def _operator(port: Any) -> str:  # noqa: ANN401
    """What computes an output."""
    name: str = port.get_node().input_value(0).get_node().get_type_name()
    return name


def _tensor(port: Any, operator: str = "") -> Tensor:  # noqa: ANN401  # OpenVINO has no types
    sizes = tuple(size.get_length() if size.is_static else None for size in port.partial_shape)
    return Tensor(port.any_name, sizes, port.element_type.to_dtype().name, operator)


def check_bf16(core: "openvino.Core") -> None:
    """Check that the CPU computes in bfloat16.

    Raises:
        DeviceError: It doesn't.
    """
    if "BF16" not in core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES"):
        raise DeviceError(
            "precision is bf16, but this CPU has neither AVX512-BF16 nor AMX: set precision to fp32"
        )
