"""How much the two settings that trade accuracy for speed change the default model's answers.

    python benchmarks/agreement.py [--count 600] [--json FILE]

1. precision: bf16 against fp32, on images of common sizes.
2. reduced_decode: large JPEGs decoded at a part of their size against those decoded in full, in fp32.

The images are made from a few photographs (sample_images.py) and have no labels: the figures say how often
and by how much answers differ, not which are right. The large ones are enlarged, thus smoother than a
camera's: with grain and fine detail, answers differ more often, and a reduced decoding saves less.
"""

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from repository import MODEL

# isort: split
import sample_images

from clas.engine.base import Batch, Scores
from clas.engine.paddle import PaddleEngine
from clas.engine.paddle_config import check_bf16, import_paddle
from clas.errors import DeviceError
from clas.image.decode import DecodeImage, Image
from clas.image.transforms import create_transforms
from clas.model.files import find_model
from clas.settings import Settings

Figures = dict[str, float | None]
"""By the names in _ROWS; None where there was no image to count."""

_BATCH: Final = 8
_MARGIN: Final = 0.05  # with less between first and second, hardly any change is needed to swap them
_TOP: Final = 5
_LARGE_SIDES: Final = (1100, 1600, 2400, 3200)  # short sides, in pixels; two to be halved, two quartered
_FEWEST_LARGE: Final = 100
_LARGE_SHARE: Final = 5  # one large image, which takes long to make, per so many of the others
_ROWS: Final = {
    "images": ("images", "d"),
    "same_best_percent": ("same best class, %", ".2f"),
    "clear_images": (f"images with a margin over {_MARGIN}", "d"),
    "same_best_clear_percent": ("same best class among those, %", ".2f"),
    "best_score_mean_difference": ("best score, mean difference", ".5f"),
    "best_score_max_difference": ("best score, largest difference", ".5f"),
    "all_scores_mean_difference": ("all scores, mean difference", ".7f"),
    "same_top5_percent": ("same five best classes, in any order, %", ".2f"),
    "decode_full_ms": ("decoding in full, median ms", ".2f"),
    "decode_reduced_ms": ("decoding reduced, median ms", ".2f"),
    "decode_ratio": ("ratio of the two medians", ".2f"),
}
"""Name of a figure -> how it is shown. Differences are absolute, of scores from 0 to 1."""


def main() -> None:
    """Measure, print a table, and write the figures if asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=600, help="images of common sizes (default: 600)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    args = parser.parse_args()
    if args.count < 1:
        parser.error("--count takes a number from 1")
    import_paddle()
    measured: dict[str, Figures] = {}
    try:
        measured["bf16"] = measure_bf16(args.count)
    except DeviceError as exc:
        print(f"bf16 is skipped: {exc}")
    measured["reduced_decode"] = measure_reduced(max(_FEWEST_LARGE, args.count // _LARGE_SHARE))
    print(table(measured))
    if args.json:
        args.json.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")


def measure_bf16(count: int) -> Figures:
    """Let both precisions predict the same batches.

    Raises:
        DeviceError: Nothing would be computed in bfloat16 here.
    """
    check_bf16(Settings())
    exact, rough = _open("fp32"), _open("bf16")
    if not rough.info.mkldnn:  # the engine continues without it, and then in fp32
        raise DeviceError("the model doesn't run with MKL-DNN here, and so not in bfloat16")
    scores = [(exact.run(batch), rough.run(batch)) for batch in _batches(sample_images.varied(count))]
    ours, theirs = zip(*scores, strict=True)
    return compare(np.concatenate(ours), np.concatenate(theirs))


def measure_reduced(count: int) -> Figures:
    """Decode large JPEGs both ways, one image at a time, and predict both in fp32."""
    engine, transforms = _open("fp32"), create_transforms()
    decode_full = DecodeImage(Settings.max_image_pixels)
    decode_reduced = DecodeImage(Settings.max_image_pixels, Settings.resize_short)
    scores: list[Scores] = []
    times: list[tuple[float, float]] = []
    for image in sample_images.varied(count, sides=_LARGE_SIDES):
        data = sample_images.jpeg(image)
        if not times:  # the first of all loads Pillow's readers
            decode_reduced(data)
        full, full_ms = _timed(decode_full, data)
        reduced, reduced_ms = _timed(decode_reduced, data)
        if reduced.shape[0] >= full.shape[0]:
            raise RuntimeError(f"an image of {full.shape} was decoded to {reduced.shape}: it isn't reduced")
        times.append((full_ms, reduced_ms))
        scores.append(engine.run(np.stack([transforms(full), transforms(reduced)])))
    exact, rough = np.stack(scores, axis=1)
    full_ms, reduced_ms = (statistics.median(column) for column in zip(*times, strict=True))
    decoding = {"decode_full_ms": full_ms, "decode_reduced_ms": reduced_ms}
    return {**compare(exact, rough), **decoding, "decode_ratio": full_ms / reduced_ms}


def compare(exact: Scores, rough: Scores) -> Figures:
    """Hold one way's scores against another's.

    Args:
        exact: [N, classes], what is held to be right: its best class is the one whose score is compared.
        rough: [N, classes] of the same images.
    """
    exact_top, rough_top = (_best(scores) for scores in (exact, rough))
    best = exact_top[:, :1]
    is_same = best[:, 0] == rough_top[:, 0]
    first, second = np.take_along_axis(exact, exact_top[:, :2], axis=1).T
    is_clear = first - second > _MARGIN
    differences = np.abs(exact.astype(np.float64) - rough)
    best_differences = np.take_along_axis(differences, best, axis=1)
    is_same_set = (np.sort(exact_top, axis=1) == np.sort(rough_top, axis=1)).all(axis=1)
    return {
        "images": len(exact),
        "same_best_percent": _percent(is_same),
        "clear_images": int(is_clear.sum()),
        "same_best_clear_percent": _percent(is_same[is_clear]),
        "best_score_mean_difference": float(best_differences.mean()),
        "best_score_max_difference": float(best_differences.max()),
        "all_scores_mean_difference": float(differences.mean()),
        "same_top5_percent": _percent(is_same_set),
    }


def table(measured: dict[str, Figures]) -> str:
    """The figures, a column for each setting."""
    width = max(len(label) for label, _ in _ROWS.values())
    lines = [" " * width + "".join(f"{name:>16}" for name in measured)]
    for name, (label, form) in _ROWS.items():
        values = [figures.get(name) for figures in measured.values()]
        cells = ["-" if value is None else format(value, form) for value in values]
        lines.append(f"{label:{width}}" + "".join(f"{cell:>16}" for cell in cells))
    return "\n".join(lines)


def _open(precision: str) -> PaddleEngine:
    settings = Settings(
        inference_model_dir=str(MODEL),
        precision=precision,
        overridden=frozenset({"inference_model_dir"}),
    )
    return PaddleEngine(find_model(settings)[0], settings)


def _batches(images: Iterable[Image]) -> Iterator[Batch]:
    """Preprocess as the client does, to batches [up to _BATCH, 3, 224, 224]."""
    prepared = map(create_transforms(), images)
    while batch := list(itertools.islice(prepared, _BATCH)):
        yield np.stack(batch)


def _timed(decode: DecodeImage, data: bytes) -> tuple[Image, float]:
    """The image, and the milliseconds that it took."""
    start = time.perf_counter()
    image = decode(data)
    return image, 1000 * (time.perf_counter() - start)


def _best(scores: Scores) -> npt.NDArray[np.intp]:
    """The classes [N, _TOP] with the best scores, best first; of equals the lower id first, as served."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :_TOP]


def _percent(flags: npt.NDArray[np.bool_]) -> float | None:
    """How many of [N] are true; None of none."""
    return 100 * float(flags.mean()) if flags.size else None


if __name__ == "__main__":
    main()
