"""Face 1: the PaddleHub module `clas_system`.

PaddleHub loads this file from its modules folder; `python clas/module.py [IMAGE ...]` tries it in place.
PaddleHub takes any error on importing this file for "not installed" and asks its makers' server, so importing
it imports only paddlehub, numpy, cv2, the standard library and, where it is installed, pybase64; everything
else is imported when it is used.
"""

import argparse
import base64
import dataclasses
import functools
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypedDict

import cv2
import numpy as np
from paddlehub.module.module import moduleinfo, runnable, serving

if __name__ == "__main__":  # PEP 366: relative imports work in a script, too
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    __package__ = Path(__file__).resolve().parent.name

from .classifier import Classifier
from .commandline.batches import BATCH_SIZE, classify_in_batches, given_images
from .commandline.cli import hub_run
from .commandline.formats import text_lines
from .commandline.terminal import show_any_text, show_log
from .errors import ClasError, RequestError
from .output.base import Prediction
from .protocol import decode, parse_preprocess, refuse_unknown_fields
from .settings import load_settings

_CALLED_BY_PEOPLE: Final = ("predict", "classification")


class Results(TypedDict):
    """The results of a request: one entry per image, and the seconds that predicting took."""

    prediction: list[Prediction]
    elapse: float


@moduleinfo(
    name="clas_system",
    version="1.0.0",
    type="cv/image_classification",
    summary="Image classification with a model exported by PaddleClas",
    author="clas_system developers",
    author_email="",
)
class ClasSystem:
    """Image classification with a model exported by PaddleClas.

    Args:
        **init_args: `use_gpu`, `enable_mkldnn` or any other leaf name of params.py, which it overrides.

    Raises:
        StartupError: The settings, the model, the label file or the device can't be used.
    """

    def __init__(self, /, **init_args: object) -> None:
        show_log()
        settings = load_settings(init_args)
        if settings.engine == "auto":  # what this module has always run models with
            settings = dataclasses.replace(settings, engine="paddle")
        self._classifier = Classifier(settings)

    def __getattribute__(self, name: str) -> Any:  # noqa: ANN401  # as that of object
        """Return an attribute; PaddleHub's wrapper of methods hides their signatures and docstrings."""
        found = super(ClasSystem, self).__getattribute__(name)  # noqa: UP008  # moduleinfo makes a new class
        if name in _CALLED_BY_PEOPLE:
            functools.update_wrapper(found, getattr(ClasSystem, name).__get__(self))
        return found

    def predict(self, inputs: Any, top_k: int | None = None) -> Results:  # noqa: ANN401  # anything array-like
        """Classify preprocessed images.

        Args:
            inputs: A list of N arrays [C, H, W] of numbers, or one array [N, C, H, W].
            top_k: Results per image; None for the setting.

        Returns:
            `prediction` with N entries in the order of `inputs`, and `elapse` in seconds.

        Raises:
            RequestError: The arrays differ in shape, aren't of the model's shape, or `top_k` is invalid.
            PredictionError: The model failed.
        """
        self._classifier.ensure_open()
        start = time.perf_counter()
        try:
            batch = np.asarray(inputs)
        except ValueError as exc:
            raise RequestError("inputs holds arrays of different shapes; one batch takes one shape") from exc
        if batch.dtype.kind not in "fiu":
            raise RequestError(f"inputs is of type {batch.dtype}; it takes arrays of numbers")
        prediction = self._classifier.classify(batch, top_k, field="inputs")
        return {"prediction": prediction, "elapse": time.perf_counter() - start}

    def classification(
        self,
        images: object = None,
        paths: object = None,
        batch_size: int = BATCH_SIZE,
        top_k: int | None = None,
    ) -> list[Prediction]:
        """Classify images, as PaddleHub's image modules do.

        Args:
            images: A list of arrays [H, W, 3] uint8, BGR, as cv2.imread returns them, or [H, W], grey, or of
                images of Pillow; or one of these.
            paths: A list of names of JPEG, PNG, BMP or WebP files, or one name.
            batch_size: Images that are read at a time; the setting max_batch_size says how many of them go
                through the model at once.
            top_k: Results per image; None for the setting.

        Returns:
            An entry per image, in the order of `images`, then of `paths`, as in `prediction` of `predict`;
            that of an image that can't be read or decoded has empty lists and an `error`.

        Raises:
            RequestError: Neither images nor paths is given, or an argument is invalid.
            PredictionError: The model failed.
        """
        self._classifier.ensure_open()
        sources = given_images(images, paths)
        batches = classify_in_batches(self._classifier, sources, batch_size, top_k)
        return [answered.prediction for batch in batches for answered in batch]

    @runnable  # type: ignore[untyped-decorator]  # PaddleHub has no types
    def run(self, argv: Sequence[str]) -> str:
        """Run `hub run clas_system --input_path PATH`: print the results of files and folders.

        Args:
            argv: The flags, see commandline/cli.py.

        Returns:
            How many images have a result, in a line that PaddleHub prints.

        Raises:
            SystemExit: A flag is invalid, or an image has no result.
        """
        self._classifier.ensure_open()
        return hub_run(self._classifier, argv)

    @serving  # type: ignore[untyped-decorator]  # PaddleHub has no types
    def serving_method(
        self,
        /,
        images: object = None,
        revert_params: object = None,
        preprocess: object = None,
        top_k: object = None,
        **extra: object,
    ) -> Results:
        """Answer one request; see protocol.py for both of its forms.

        Args:
            images: The base64 text of a tensor, or a list of base64 texts of image files.
            revert_params: `shape` and `dtype` of the tensor; not with a list of image files.
            preprocess: The operations still to be done on the tensor; not with a list of image files.
            top_k: Results per image, from the request or else from `predict_args`; None for the setting.
            **extra: Unknown fields, refused by name.

        Returns:
            As `predict`.

        Raises:
            RequestError: A field is unknown, missing or invalid.
            PredictionError: The model failed.
            DeviceError: In a forked worker, with use_gpu.
        """
        if "use_gpu" in extra:
            raise RequestError(
                "use_gpu came with the request: PaddleHub's own GPU mode (use_gpu at the top level of "
                "config.json, or --use_gpu) is not supported; set use_gpu in init_args instead"
            )
        refuse_unknown_fields(extra)
        self._classifier.ensure_open()
        start = time.perf_counter()
        operations = parse_preprocess(preprocess, images)
        decoded = decode(images, revert_params)
        if isinstance(decoded, list):
            prediction = self._classifier.classify_images(decoded, top_k)
        else:
            prediction = self._classifier.classify(
                decoded, top_k, field="revert_params.shape", operations=operations
            )
        return {"prediction": prediction, "elapse": time.perf_counter() - start}


def _try_out(argv: list[str] | None = None) -> int:
    """Classify the given files, or a plain grey image, with the code and params.py of this folder."""
    parser = argparse.ArgumentParser(description="Try the code and params.py of this folder, uninstalled.")
    parser.add_argument(
        "images", nargs="*", type=Path, metavar="IMAGE", help="image file (default: a plain grey image)"
    )
    args = parser.parse_args(argv)
    show_any_text()
    try:
        module = ClasSystem()
        files = [path.read_bytes() for path in args.images] or [_grey_image()]
        results = module.serving_method(images=[base64.b64encode(data).decode() for data in files])
    except (ClasError, OSError) as exc:
        print(f"{type(exc).__name__}: {exc}", file=sys.stderr)
        return 1
    for name, entry in zip(args.images or ["(a plain grey image)"], results["prediction"], strict=True):
        lines = [f"{name}: {entry['error']}"] if "error" in entry else text_lines(str(name), entry)
        print(*lines, sep="\n")
    return int(any("error" in entry for entry in results["prediction"]))


def _grey_image(side: int = 256) -> bytes:
    """Return a PNG file of one colour: enough to see that the model loads and answers."""
    return cv2.imencode(".png", np.full((side, side, 3), 127, np.uint8))[1].tobytes()


if __name__ == "__main__":
    sys.exit(_try_out())
