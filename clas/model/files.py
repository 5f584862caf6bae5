"""Finds the files of the model and the label file."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ..errors import LabelFileError, ModelNotFoundError
from ..settings import Settings
from .absence import ONNX, PROGRAMS, REMEDY, WEIGHTS, remedy_for
from .encryption import read_file
from .fingerprint import Fingerprint

MODULE_DIR: Final = Path(__file__).resolve().parent.parent
"""The folder of the hub module, which `hub install` copies whole."""

_OTHER_STEMS: Final = ("inference_int8", "model")
"""What names may begin with in place of `inference`, where there is no model of that name."""


@dataclasses.dataclass(frozen=True)
class ModelFiles:
    """The files of an exported model.

    Attributes:
        program: Absolute path of inference.pdmodel, inference.json or inference.onnx, or of one of the other
            names that are taken where there is no such file.
        weights: Absolute path of inference.pdiparams, likewise, or of inference.onnx, which has its weights.
        fingerprint: Of all files of the model, inference.yml included; None as long as it wasn't taken.
        key_file: The file with the key of an encrypted model; empty if it isn't encrypted.
        image_size: Width and height of images in pixels, where its inference.yml says them, which then hold
            in place of those that the program declares; each is None where it depends on the image.
    """

    program: Path
    weights: Path
    fingerprint: Fingerprint | None = None
    key_file: str = ""
    image_size: tuple[int | None, int | None] | None = None

    def read(self, path: Path) -> bytes:
        """Return the content of one of the files, decrypted if there is a key.

        Raises:
            EncryptedModelError: As `encryption.read_file`.
            OSError: It can't be read.
        """
        return read_file(path, self.program.parent, self.key_file)

    @property
    def is_json(self) -> bool:
        """Whether the program is in JSON, Paddle 3's default format."""
        return self.program.suffix == ".json"

    @property
    def format(self) -> str:
        """The format of the program: "pdmodel", "json" or "onnx"."""
        return self.program.suffix[1:]


def find_model(settings: Settings, module_dir: Path = MODULE_DIR) -> Sequence[ModelFiles]:
    """Find the model of the settings, in each format that its directory has.

    Args:
        settings: Read for inference_model_dir and model_key_file; a relative path starts at the current
            directory.
        module_dir: Its folder `inference/` is used if there is no such directory, and the path is a relative
            one that wasn't given for this start.

    Returns:
        The model as .pdmodel, .json, .onnx: those that are there, in this order.

    Raises:
        ModelNotFoundError: There is no directory, or it lacks a file; the message names every path tried.
    """
    named = Path(settings.inference_model_dir)
    try:
        places = [named.absolute()]
        if not named.is_absolute() and "inference_model_dir" not in settings.overridden:
            places.append(module_dir / "inference")
        for place in places:
            if place.is_file():
                raise ModelNotFoundError(f"{place} is a file: name its folder, {place.parent}")
            if place.exists():
                found = _files_in(place.resolve())
                return [dataclasses.replace(files, key_file=settings.model_key_file) for files in found]
    except (OSError, ValueError) as exc:  # no permission, name too long, a NUL in it, no current directory
        raise ModelNotFoundError(f"inference_model_dir can't be looked up: {exc}") from exc
    tried = ", ".join(str(place) for place in places)
    raise ModelNotFoundError(
        f"there is no model: inference_model_dir is {settings.inference_model_dir!r}, tried {tried}; {REMEDY}"
    )


def _files_in(directory: Path) -> Sequence[ModelFiles]:
    found = _named(directory, "inference")
    if (directory / ONNX).is_file():
        found.append(ModelFiles(directory / ONNX, directory / ONNX))
    programs = [name for name in PROGRAMS if (directory / name).is_file()]
    if not (found or programs):
        found = next(filter(None, (_named(directory, stem) for stem in _OTHER_STEMS)), [])
    if not found:
        missing = WEIGHTS if programs else " or ".join([*PROGRAMS, ONNX])
        raise ModelNotFoundError(f"{directory} holds no file {missing}; {remedy_for(directory)}")
    return found


def _named(directory: Path, stem: str) -> list[ModelFiles]:
    """Return the model of this name, in each of Paddle's formats that is there with its weights."""
    weights = directory / f"{stem}.pdiparams"
    programs = [directory / name.replace("inference", stem) for name in PROGRAMS]
    return [ModelFiles(program, weights) for program in programs if program.is_file() and weights.is_file()]


def find_label_file(
    settings: Settings, module_dir: Path = MODULE_DIR, model_dir: Path | None = None
) -> Path | None:
    """Find the label file of the settings, in the current directory, then in `module_dir`.

    Args:
        settings: Read for class_id_map_file.
        module_dir: The folder that contains this package.
        model_dir: The model's folder if its inference.yml names the file, else None. It is searched first,
            and since the path may be that of another machine, a file of the same name directly in one of
            these folders is found, too.

    Returns:
        Its absolute path, or None if the settings have no label file.

    Raises:
        LabelFileError: The file isn't found; the message names every path tried.
    """
    if not settings.class_id_map_file:
        return None
    try:
        starts, names = [Path.cwd(), module_dir], [Path(settings.class_id_map_file)]
        if model_dir:
            starts.insert(0, model_dir)
            names.append(Path(names[0].name))
        places = [(start / name).absolute() for name in names for start in starts]
        for place in places:
            if place.is_file():
                return place
    except (OSError, ValueError) as exc:
        raise LabelFileError(f"class_id_map_file can't be looked up: {exc}") from exc
    tried = ", ".join(str(place) for place in dict.fromkeys(places))
    raise LabelFileError(
        f"there is no label file: class_id_map_file is {settings.class_id_map_file!r}, tried {tried}; "
        'set it to the file, or to "" for a service without labels'
    )
