"""Settings of the model: params.py and its overrides, merged into one frozen, validated object."""

import dataclasses
import importlib
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from .errors import SettingsError
from .fields import check_fields, choice, number, numbers, plain, refuse_unknown
from .result_settings import ResultSettings

CPU_BATCH_SIZE: Final = 4
"""More at once is no faster for each image on a CPU, and takes more memory: benchmarks/README.md."""
GPU_BATCH_SIZE: Final = 32
MAX_IMAGE_PIXELS: Final = 89_478_485
"""Default bound on width x height of one image: 256 MiB of RGB (source: Pillow's MAX_IMAGE_PIXELS)."""


IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
"""Mean of R, G, B over ImageNet's training set, in 0..1 (source: PaddleClas' and torchvision's configs)."""
IMAGENET_STD: Final = (0.229, 0.224, 0.225)
"""Standard deviation of R, G, B, likewise."""
PREPROCESS_NAMES: Final = (
    *("resize_short", "crop_size", "resize_size", "interpolation", "resize_backend"),
    *("mean", "std", "scale"),
)
"""The settings that say how an image becomes the model's input; client and server must agree on them."""
PIL_ONLY: Final = ("box", "hamming")
CV2_ONLY: Final = ("area",)

MAX_SIDE: Final = 8192
"""Largest width or height, in pixels, that a setting names."""
LARGE: Final = 1e6
TINY: Final = 1e-9
"""Bounds of mean, std and scale."""


class TransformOp(NamedTuple):
    """An operation on an image, as an inference.yml describes it; see image/operations.py.

    Attributes:
        name: Its name there, such as "CropImage".
        options: Name and value of each option, checked and in one spelling; values are hashable.
    """

    name: str
    options: tuple[tuple[str, object], ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(ResultSettings):
    """All settings of one service; the names are the leaf names of params.py.

    Each field's metadata holds its help, for the manual and the command lines.

    Raises:
        SettingsError: A value has the wrong type or is out of range, or two of them don't go together.
    """

    inference_model_dir: str = plain(
        "../inference/",
        "Directory of the model; a relative path starts where the service is started",
        group="model",
    )
    model_name: str = plain(
        "",
        "Name of the model, on the page and in reports; empty: model_name of its inference.yml, or else the "
        "name of its folder",
        group="model",
    )
    model_key_file: str = plain(
        "", "File with the key of an encrypted model; empty: the model isn't encrypted", group="model"
    )
    engine: str = choice(
        "auto",
        "openvino",
        "paddle",
        "onnxruntime",
        help_text="What runs the model; auto: the first of OpenVINO, Paddle and ONNX Runtime that is "
        "installed and runs it, on a GPU Paddle or ONNX Runtime, in PaddleHub always Paddle",
        group="model",
    )
    use_gpu: bool = plain(False, "Predict on the first device of CUDA_VISIBLE_DEVICES", group="model")
    gpu_mem: int = number(8000, 1, 2**31 - 1, "MB of memory reserved on the GPU at start", group="model")
    enable_mkldnn: bool = plain(
        True, "Let Paddle use MKL-DNN (oneDNN) on the CPU; ignored with use_gpu", group="model"
    )
    cpu_num_threads: int = number(
        0,
        0,
        1024,
        "CPU threads of one prediction with Paddle, of all that are under way with other engines; 0: all "
        "cores that the process may use",
        group="model",
    )
    precision: str = choice(
        "fp32",
        "bf16",
        "fp16",
        help_text="bf16: compute in bfloat16, on a CPU that has AVX512-BF16 or AMX; fp16: in half precision, "
        "on a GPU",
        group="model",
    )
    use_tensorrt: bool = plain(False, "Let TensorRT run what it can of the model, on a GPU", group="model")
    ir_optim: bool = plain(True, "Let Paddle optimize the graph", group="model")
    max_batch_size: int = number(
        0,
        0,
        65536,
        f"Images that go through the model at once; 0: {CPU_BATCH_SIZE} on a CPU, {GPU_BATCH_SIZE} on a GPU",
        group="model",
    )
    resize_short: int = number(256, 1, MAX_SIDE, "Short side after resizing, in pixels", group="image")
    crop_size: int = number(224, 1, MAX_SIDE, "Side of the square center crop, in pixels", group="image")
    resize_size: tuple[int, ...] = numbers(
        (224, 224),
        1,
        MAX_SIDE,
        "Width and height to resize to, in pixels, ignoring the proportions, in place of resize_short and "
        "crop_size; empty: those two",
        is_optional=True,
        group="image",
    )
    interpolation: str = choice(
        "bilinear",
        "nearest",
        "bicubic",
        "lanczos",
        *CV2_ONLY,
        *PIL_ONLY,
        help_text=f"Interpolation; {', '.join(CV2_ONLY)} with cv2 only, {', '.join(PIL_ONLY)} with pil only",
        group="image",
    )
    resize_backend: str = choice(
        "cv2",
        "pil",
        help_text="Library that resizes: OpenCV, or Pillow, whose filters grow as images shrink",
        group="image",
    )
    mean: tuple[float, ...] = numbers(
        IMAGENET_MEAN,
        -LARGE,
        LARGE,
        "For R, G and B: the model takes (pixel * scale - mean) / std",
        group="image",
    )
    std: tuple[float, ...] = numbers(IMAGENET_STD, TINY, LARGE, "See mean", group="image")
    scale: float = number(1 / 255, TINY, LARGE, "See mean", group="image")
    max_image_pixels: int = number(  # twice what Pillow warns at, from where on it refuses an image
        MAX_IMAGE_PIXELS, 1, 2 * MAX_IMAGE_PIXELS, "Largest width x height of an encoded image", group="image"
    )
    reduced_decode: bool = plain(
        False,
        "Decode a JPEG at 1/2, 1/4 or 1/8 of its size while that is at least twice resize_short",
        group="image",
    )
    class_id_map_file: str | None = plain(
        "imagenet1k_label_list.txt", "Label file; empty: no labels", group="results"
    )
    allow_label_mismatch: bool = plain(
        False,
        "Start with labels whose ids aren't those of the model's classes, instead of refusing them",
        group="results",
    )
    overridden: frozenset[str] = frozenset()
    """Names that came from init_args or a flag rather than from params.py."""
    transform_ops: tuple[TransformOp, ...] = ()
    """The operations of the model's inference.yml, where PREPROCESS_NAMES can't say them; in their place."""

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.inference_model_dir:
            raise SettingsError("inference_model_dir is empty; it takes the directory of the model")
        if not self.model_name.isprintable():
            raise SettingsError(f"model_name is {self.model_name!r:.80}; it takes printable characters")
        if self.precision == "bf16" and self.use_gpu:
            raise SettingsError(
                "precision is bf16, which is for the CPU: set use_gpu to false, or precision to fp32"
            )
        if not self.use_gpu and (self.precision == "fp16" or self.use_tensorrt):
            named = "use_tensorrt is true" if self.use_tensorrt else "precision is fp16"
            raise SettingsError(f"{named}, which is for a GPU: set use_gpu to true as well")
        self.check_results()
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
    def batch_limit(self) -> int:
        """How many images go through the model at once."""
        return self.max_batch_size or (GPU_BATCH_SIZE if self.use_gpu else CPU_BATCH_SIZE)


_OF_RESULTS: Final = frozenset(field.name for field in dataclasses.fields(ResultSettings))
SETTING_FIELDS: Final = sorted(
    (field for field in dataclasses.fields(Settings) if field.metadata),
    key=lambda field: field.name in _OF_RESULTS,
)
"""The settings, those of results last."""
SETTING_NAMES: Final = tuple(field.name for field in SETTING_FIELDS)
"""The names that params.py, init_args and flags can set."""


def load_settings(overrides: Mapping[str, object], params: Mapping[str, object] | None = None) -> Settings:
    """Merge params.py with the overrides of this start.

    Args:
        overrides: Leaf names with values that override params.py (`init_args`, flags).
        params: A nested dictionary as in params.py; None reads params.py.

    Returns:
        The checked settings.

    Raises:
        SettingsError: A name is unknown or repeated, a value is invalid, or params.py can't be read.
    """
    merged: dict[str, object] = {}
    for name, value in _leaves(_read_params() if params is None else params):
        if name in merged:
            raise SettingsError(f"params.py names {name!r} twice")
        merged[name] = value
    refuse_unknown(merged, SETTING_NAMES, "params.py")
    refuse_unknown(overrides, SETTING_NAMES, "init_args")
    merged.update(overrides)
    values = {name: setting_value(name, value) for name, value in merged.items()}
    return Settings(**values, overridden=frozenset(overrides))  # type: ignore[arg-type]  # checked there


def setting_value(name: str, value: object) -> object:
    """Return a value from JSON, YAML or Python as `Settings` has it."""
    if isinstance(value, list):
        return tuple(value)
    if name == "softmax" and isinstance(value, bool):
        return str(value).lower()
    return value


def _read_params() -> Mapping[str, object]:
    """Import params.py now rather than with this module, so that an error in it is reported as one."""
    try:
        module = importlib.import_module(".params", __package__)
        if not hasattr(module, "PARAMS") and hasattr(module, "get_default_confg"):
            from .original_params import read_original  # noqa: PLC0415  # for files of that form only

            return read_original(module.get_default_confg())
        params: Mapping[str, object] = module.PARAMS
    except (SyntaxError, ImportError, AttributeError, NameError) as exc:
        raise SettingsError(f"params.py can't be read: {type(exc).__name__}: {exc}") from exc
    return params


def _leaves(params: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for name, value in params.items():
        if isinstance(value, Mapping) and name != "threshold":  # which may be {default: 0.5, 3: 0.2}
            yield from _leaves(value)
        else:
            yield name, value
