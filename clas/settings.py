"""From params.py and its overrides to one frozen, validated object."""

import dataclasses
import difflib
import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from .errors import SettingsError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

CPU_BATCH_SIZE: Final = 4
"""More at once is no faster for each image on a CPU, and takes more memory: benchmarks/README.md."""
GPU_BATCH_SIZE: Final = 32
MAX_IMAGE_PIXELS: Final = 89_478_485
"""Default bound on width x height of one image: 256 MiB of RGB (source: Pillow's MAX_IMAGE_PIXELS)."""


IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
"""Mean of R, G, B over ImageNet's training set, in 0..1 (source: PaddleClas' and torchvision's configs)."""
IMAGENET_STD: Final = (0.229, 0.224, 0.225)
"""Standard deviation to IMAGENET_MEAN."""
PREPROCESS_NAMES: Final = (
    *("resize_short", "crop_size", "resize_size", "interpolation", "resize_backend"),
    *("mean", "std", "scale"),
)
"""The settings that say how an image becomes the model's input: client and server must agree on them."""
PIL_ONLY: Final = ("box", "hamming")
CV2_ONLY: Final = ("area",)

_MAX_SIDE: Final = 8192
_LARGE: Final = 1e6
_TINY: Final = 1e-9
_UNCHECKED: Final = ("overridden",)
_Number = TypeVar("_Number", int, float)


def number(default: _Number, minimum: float, maximum: float) -> _Number:
    """A dataclass field that holds a number from `minimum` to `maximum`."""
    field: _Number = dataclasses.field(default=default, metadata={"range": (minimum, maximum)})
    return field


def numbers(
    default: tuple[_Number, ...], minimum: float, maximum: float, *, can_be_empty: bool = False
) -> tuple[_Number, ...]:
    """A dataclass field that holds as many numbers as its default, each in the range; or none, if it can."""
    count = len(default)
    found: tuple[_Number, ...] = () if can_be_empty else default
    kind = type(default[0])
    metadata = {"counts": (0, count) if can_be_empty else (count,), "range": (minimum, maximum), "kind": kind}
    field: tuple[_Number, ...] = dataclasses.field(default=found, metadata=metadata)
    return field


def choice(*values: str) -> str:
    """A dataclass field that holds one of some words, the first by default."""
    field: str = dataclasses.field(default=values[0], metadata={"choices": values})
    return field


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of one service, checked; the names are the leaf names of params.py.

    Attributes:
        inference_model_dir: Directory of the model.
        use_gpu: Predict on the first device of CUDA_VISIBLE_DEVICES.
        gpu_mem: Memory reserved on the GPU at start, in MB.
        enable_mkldnn: Use MKL-DNN (oneDNN) on the CPU.
        cpu_num_threads: Threads of one prediction; 0 stands for all that the process may use.
        precision: "fp32", or "bf16" for bfloat16 by MKL-DNN on a CPU that has it.
        ir_optim: Let Paddle optimise the graph.
        max_batch_size: Images that go through the model at once; 0 stands for CPU_BATCH_SIZE, or
            GPU_BATCH_SIZE with use_gpu.
        resize_short: Length of the short side after resizing, in pixels.
        crop_size: Side of the square center crop, in pixels.
        resize_size: Width and height to resize to, in pixels, whatever the proportions, in place of
            resize_short and crop_size; empty if those two are used.
        interpolation: How pixels are computed in resizing.
        resize_backend: "cv2", or "pil" for Pillow, whose filters grow as images shrink.
        mean, std, scale: (pixel * scale - mean) / std is what the model takes, for R, G and B.
        max_image_pixels: Bound on width x height of one encoded image.
        reduced_decode: Decode JPEGs at a part of their size where that is still twice resize_short.
        main_indicator: What is made of the scores: the best classes, one of two, or all above a threshold.
        topk: Results per image, unless a request asks for another number; with Topk only.
        threshold: Score from which on a class counts; not with Topk.
        label_0, label_1: Names of the two classes, with ThreshOutput only.
        class_id_map_file: Label file; empty or None for no labels.
        overridden: Names that came from init_args or a flag rather than from params.py.

    Raises:
        SettingsError: A value has the wrong type or is out of range.
    """

    inference_model_dir: str = "../inference/"
    use_gpu: bool = False
    gpu_mem: int = number(8000, 1, 2**31 - 1)
    enable_mkldnn: bool = True
    cpu_num_threads: int = number(0, 0, 1024)
    precision: str = choice("fp32", "bf16")
    ir_optim: bool = True
    max_batch_size: int = number(0, 0, 65536)
    resize_short: int = number(256, 1, _MAX_SIDE)
    crop_size: int = number(224, 1, _MAX_SIDE)
    resize_size: tuple[int, ...] = numbers((224, 224), 1, _MAX_SIDE, can_be_empty=True)
    interpolation: str = choice("bilinear", "nearest", "bicubic", "lanczos", *CV2_ONLY, *PIL_ONLY)
    resize_backend: str = choice("cv2", "pil")
    mean: tuple[float, ...] = numbers(IMAGENET_MEAN, -_LARGE, _LARGE)
    std: tuple[float, ...] = numbers(IMAGENET_STD, _TINY, _LARGE)
    scale: float = number(1 / 255, _TINY, _LARGE)
    max_image_pixels: int = number(MAX_IMAGE_PIXELS, 1, 2 * MAX_IMAGE_PIXELS)  # Pillow refuses any beyond
    reduced_decode: bool = False
    main_indicator: str = choice("Topk", "ThreshOutput", "MultiLabelThreshOutput")
    topk: int = number(5, 1, 2**31 - 1)
    threshold: float = number(0.5, 0, 1)
    label_0: str = "0"
    label_1: str = "1"
    class_id_map_file: str | None = "imagenet1k_label_list.txt"
    overridden: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.inference_model_dir:
            raise SettingsError("inference_model_dir is empty; it takes the directory of the model")
        if self.precision == "bf16" and (self.use_gpu or not self.enable_mkldnn):
            raise SettingsError(
                "precision is bf16, which is for the CPU with MKL-DNN: "
                "set use_gpu to false and enable_mkldnn to true, or precision to fp32"
            )
        others = PIL_ONLY if self.resize_backend == "cv2" else CV2_ONLY
        if self.interpolation in others:
            raise SettingsError(
                f"interpolation is {self.interpolation}, "
                f"which resize_backend {self.resize_backend} doesn't have"
            )
        if self.resize_short < self.crop_size and not self.resize_size:
            raise SettingsError(
                f"resize_short is {self.resize_short} and crop_size {self.crop_size}; "
                "resize_short must not be smaller"
            )

    @property
    def output_size(self) -> tuple[int, int]:
        """Width and height of a preprocessed image."""
        width, height = self.resize_size or (self.crop_size, self.crop_size)
        return width, height

    @property
    def batch_limit(self) -> int:
        """How many images go through the model at once."""
        return self.max_batch_size or (GPU_BATCH_SIZE if self.use_gpu else CPU_BATCH_SIZE)


SETTING_NAMES: Final = tuple(
    field.name for field in dataclasses.fields(Settings) if field.name not in _UNCHECKED
)
"""The names that params.py, init_args and flags may set."""


def check_fields(settings: "DataclassInstance") -> None:
    """Refuse values of another type than their field's (True is no number here), or out of its range.

    Raises:
        SettingsError: Names the field, its value, and what it takes.
    """
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if field.name in _UNCHECKED:
            continue
        if "counts" in field.metadata:
            _check_numbers(field, value)
        else:
            _check_value(field, value)


def _check_value(field: "dataclasses.Field[object]", value: object) -> None:
    types = (int, float) if field.type is float else field.type
    is_bool = isinstance(value, bool)
    if not isinstance(value, types) or is_bool != (field.type is bool):  # type: ignore[arg-type]
        raise SettingsError(f"{field.name} is {value!r}; it takes {_wanted(field)}")
    if "range" in field.metadata and isinstance(value, int | float):
        minimum, maximum = field.metadata["range"]
        if not minimum <= value <= maximum:
            raise SettingsError(
                f"{field.name} is {value}; it takes a number from {minimum:.10g} to {maximum:.10g}"
            )
    if "choices" in field.metadata and value not in field.metadata["choices"]:
        raise SettingsError(f"{field.name} is {value!r}; it takes {_wanted(field)}")


def _check_numbers(field: "dataclasses.Field[object]", value: object) -> None:
    types = {int: (int,), float: (int, float)}[field.metadata["kind"]]
    minimum, maximum = field.metadata["range"]
    is_fit = (
        isinstance(value, tuple)
        and len(value) in field.metadata["counts"]
        and all(type(item) in types and minimum <= item <= maximum for item in value)
    )
    if not is_fit:
        shown = list(value) if isinstance(value, tuple) else value
        raise SettingsError(f"{field.name} is {shown!r:.200}; it takes {_wanted(field)}")


def _wanted(field: "dataclasses.Field[object]") -> str:
    """What a field takes, in words."""
    if "choices" in field.metadata:
        return " or ".join(field.metadata["choices"])
    if "counts" in field.metadata:
        *nothing, count = field.metadata["counts"]
        minimum, maximum = field.metadata["range"]
        whole = "whole " if field.metadata["kind"] is int else ""
        empty = ", or nothing" if nothing else ""
        return f"a list of {count} {whole}numbers from {minimum:.10g} to {maximum:.10g}{empty}"
    kinds: dict[object, str] = {bool: "true or false", int: "a whole number", float: "a number"}
    return kinds.get(field.type, "a text")


def load_settings(overrides: Mapping[str, object], params: Mapping[str, object] | None = None) -> Settings:
    """Merge params.py with what is given for this start.

    Args:
        overrides: Leaf names with values that beat params.py (`init_args`, flags).
        params: A nested dictionary as in params.py; None reads params.py.

    Returns:
        The checked settings.

    Raises:
        SettingsError: A name is unknown or doubled, a value is unfit, or params.py can't be read.
    """
    merged: dict[str, object] = {}
    for name, value in _leaves(_read_params() if params is None else params):
        if name in merged:
            raise SettingsError(f"params.py names {name!r} twice")
        merged[name] = value
    refuse_unknown(merged, SETTING_NAMES, "params.py")
    refuse_unknown(overrides, SETTING_NAMES, "init_args")
    merged.update(overrides)
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in merged.items()}
    return Settings(**values, overridden=frozenset(overrides))  # type: ignore[arg-type]  # checked there


def _read_params() -> Mapping[str, object]:
    """Import params.py now rather than with this module, so that a slip in it is reported as what it is."""
    try:
        params: Mapping[str, object] = importlib.import_module(".params", __package__).PARAMS
    except (SyntaxError, ImportError, AttributeError, NameError) as exc:
        raise SettingsError(f"params.py can't be read: {type(exc).__name__}: {exc}") from exc
    return params


def _leaves(params: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for name, value in params.items():
        if isinstance(value, Mapping):
            yield from _leaves(value)
        else:
            yield name, value


def refuse_unknown(names: Iterable[str], valid: Sequence[str], where: str) -> None:
    """Raise SettingsError that tells the valid name nearest to one that isn't."""
    for name in names:
        if name not in valid:
            nearest = difflib.get_close_matches(name, valid, n=1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"valid names: {', '.join(valid)}"
            raise SettingsError(f"{where} has an unknown name {name!r}; {hint}")
