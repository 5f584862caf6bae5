import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from clas.errors import ImageError, RequestError, SettingsError, UnavailableError
from clas.image.model_input import ModelInput
from clas.image.normalize import Normalize
from clas.image.operations import read_operations
from clas.image.transforms import create_transforms
from clas.settings import Settings, load_settings

SHAPE = (None, 3, 32, 40)
SIZE = {"resize_size": [40, 32]}


def model_input(shape: tuple[int | None, ...] = SHAPE, **overrides: object) -> ModelInput:
    return ModelInput(load_settings({**SIZE, **overrides}), shape)


def png(height: int = 48, width: int = 48) -> bytes:
    return cv2.imencode(".png", np.full((height, width, 3), 200, np.uint8))[1].tobytes()


@pytest.mark.parametrize("operations", [("normalize", "to_chw"), ("to_chw",)])
def test_pixels_with_operations_left_give_what_a_finished_tensor_gives(operations: tuple[str, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 40, 3), np.uint8)
    finished = pixels if operations == ("to_chw",) else Normalize()(pixels)
    expected = model_input().of_batch(finished.transpose(0, 3, 1, 2))
    prepared = model_input().of_batch(pixels, operations=operations)
    np.testing.assert_array_equal(prepared.tensors[0], expected.tensors[0])
    assert prepared.tensors[0].flags.c_contiguous
    assert prepared.tensors[0].dtype == np.float32
    assert prepared.failures == [None, None]
    for wrong in (pixels.transpose(0, 3, 1, 2), pixels[:, 1:], pixels[0]):
        with pytest.raises(RequestError):
            model_input().check(wrong.shape, "inputs", operations)


def test_normalize_alone_keeps_the_order_of_the_axes() -> None:
    """For a model that takes [N, H, W, C]."""
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 40, 3), np.uint8)
    prepared = ModelInput(load_settings(SIZE), (None, 32, 40, 3)).of_batch(pixels, operations=("normalize",))
    np.testing.assert_array_equal(prepared.tensors[0], Normalize()(pixels))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int8", "uint8", ">f4", ">i8"])
def test_any_number_type_becomes_contiguous_float32(dtype: str) -> None:
    batch = np.ones((2, 3, 32, 80), dtype)[..., ::2]
    tensor = model_input().of_batch(batch).tensors[0]
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    assert (tensor == 1).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_values_that_are_not_finite_in_float32_are_refused(value: float) -> None:
    with pytest.raises(RequestError, match="images holds NaN or infinity; every value must be a finite"):
        model_input().of_batch(np.full((1, 3, 32, 40), value))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (
            (1, 3, 24, 24),
            "[1, 3, 24, 24]; the model takes [N, 3, 32, 40]: let the server do the preprocessing",
        ),
        ((1, 32, 40, 3), "the model takes [N, 3, 32, 40]: send a batch in the order N, C, H, W"),
        ((0, 3, 32, 40), "the model takes [N, 3, 32, 40]: send at least one image"),
        ((), "shape is []; the model takes [N, 3, 32, 40]: send at least one image"),
    ],
)
def test_a_shape_that_is_not_the_models_is_refused_with_a_remedy(
    shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(RequestError, match=re.escape(message)):
        model_input().check(shape, "shape")


def test_a_shape_is_told_as_it_is_after_the_operations() -> None:
    message = "shape after to_chw is [1, 3, 24, 24]; the model takes [N, 3, 32, 40]"
    with pytest.raises(RequestError, match=re.escape(message)):
        model_input().check((1, 24, 24, 3), "shape", ("normalize", "to_chw"))
    with pytest.raises(RequestError, match=re.escape("shape is [24, 24, 3]; preprocess takes a batch [N, H")):
        model_input().check((24, 24, 3), "shape", ("normalize", "to_chw"))


def test_a_size_that_the_model_leaves_open_is_shown_so() -> None:
    with pytest.raises(RequestError, match=re.escape("the model takes [N, 3, any, any]")):
        model_input((None, 3, None, None)).check((1, 1, 5, 5), "shape")


def test_images_come_as_bytes_texts_pixels_or_functions_and_failed_ones_are_named() -> None:
    def fail() -> bytes:
        raise ImageError("the file is gone")

    pixels = np.full((48, 48, 3), 200, np.uint8)
    prepared = model_input().of_images([png(), b"no image", pixels, png, fail, 5])
    assert prepared.tensors[0].shape == (3, 3, 32, 40)
    for tensor in prepared.tensors[0][1:]:
        np.testing.assert_array_equal(tensor, prepared.tensors[0][0])
    assert [reason and reason[:20] for reason in prepared.failures] == [
        None,
        "the image can't be d",
        None,
        None,
        "the file is gone",
        "the image is a numbe",
    ]


def test_without_a_good_image_the_tensor_is_empty() -> None:
    prepared = model_input().of_images([b"no image"])
    assert not prepared.tensors
    assert len(prepared.failures) == 1


def test_images_are_not_prepared_when_nobody_waits_any_more() -> None:
    opened: list[int] = []

    def count() -> bytes:
        opened.append(1)
        return png()

    with pytest.raises(UnavailableError, match="nobody waits"):
        model_input().of_images([count, count, count], is_wanted=lambda: not opened)
    assert len(opened) == 1


def test_a_size_that_is_not_the_models_is_warned_of_and_refused_for_images() -> None:
    assert not model_input().warning
    wrong = model_input(resize_size=[], crop_size=24, resize_short=24)
    message = "crop_size is 24, but the model takes [N, 3, 32, 40]: encoded images will be refused; set "
    assert wrong.warning.startswith(message)
    remedy = "set resize_size in params.py, or by --resize_size 40,32"
    assert wrong.warning.endswith(remedy)
    with pytest.raises(RequestError, match=rf"images is \[1, 3, 24, 24\]; .*: {remedy}"):
        wrong.of_images([png()])
    assert len(wrong.of_batch(np.zeros((1, 3, 32, 40))).tensors[0]) == 1


def test_images_become_what_a_model_with_channels_last_takes() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 40, 3), np.uint8)
    last = model_input((None, 32, 40, 3))
    assert not last.warning
    prepared = last.of_images([pixels, pixels[::-1]])
    expected = (np.stack([pixels, pixels[::-1]]) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(prepared.tensors[0], expected, atol=1e-5)
    assert prepared.tensors[0].flags.c_contiguous
    with pytest.raises(RequestError, match=r"takes \[N, 32, 40, 3\]: send a batch in the order N, H, W, C"):
        last.check((1, 3, 32, 40), "images")
    with pytest.raises(RequestError, match=r"takes \[N, 32, 40, 3\]: let the server do the preprocessing"):
        last.check((1, 24, 24, 3), "images")


def test_the_remedy_for_a_square_model_is_its_side() -> None:
    square = model_input((None, 3, 64, 64), resize_size=[], crop_size=24, resize_short=24)
    remedy = "set crop_size and resize_short in params.py, or by --crop_size 64 --resize_short 64"
    assert square.warning.endswith(remedy)
    assert not model_input((None, 3, 64, 64), resize_size=[], crop_size=64, resize_short=64).warning
    with pytest.raises(RequestError, match=r"takes \[N, 3, 64, 64\]: use --resize_short/--crop_size"):
        square.check((1, 3, 24, 24), "images")


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ({"crop_size": 40, "resize_short": 48}, "use --resize_short 48 --crop_size 40"),
        ({"crop_size": 32, "resize_short": 48}, "use --resize_short/--crop_size"),
        ({"resize_size": [40, 40]}, "let the server do the preprocessing"),
        ({"crop_size": 40, "mean": [0.5, 0.5, 0.5]}, "let the server do the preprocessing"),
        ({"crop_size": 40, "interpolation": "bicubic"}, "let the server do the preprocessing"),
    ],
)
def test_a_refusal_of_sizes_names_the_flags_of_this_model(settings: dict[str, object], remedy: str) -> None:
    made = ModelInput(load_settings(settings, params={}), (None, 3, 40, 40))
    with pytest.raises(RequestError, match=rf"the model takes \[N, 3, 40, 40\]: {remedy}"):
        made.check((1, 3, 24, 24), "images")


@pytest.mark.parametrize("channels", [1, 4])
def test_images_are_refused_by_a_model_of_other_channels_but_tensors_are_not(channels: int) -> None:
    other = model_input((None, channels, 32, 40))
    takes = f"the model takes [N, {channels}, 32, 40]"
    remedy = "send tensors of that many channels"
    assert other.warning == f"images have 3 channels, but {takes}: encoded images will be refused; {remedy}"
    assert len(other.of_batch(np.zeros((2, channels, 32, 40))).tensors[0]) == 2
    with pytest.raises(RequestError, match=re.escape(f"{takes}: send tensors of that many channels")):
        other.of_images([png()])


def test_a_model_of_pixels_takes_pixels_only() -> None:
    unchanged = {**SIZE, "mean": [0, 0, 0], "std": [1, 1, 1], "scale": 1}
    with pytest.raises(SettingsError, match="but the settings normalize them: mean is"):
        ModelInput(load_settings(SIZE), SHAPE, "uint8")
    takes_pixels = ModelInput(load_settings(unchanged), SHAPE, "uint8")
    pixels = np.random.default_rng(0).integers(0, 256, (32, 40, 3), np.uint8)
    as_image = takes_pixels.of_images([pixels]).tensors[0]
    np.testing.assert_array_equal(as_image, pixels.transpose(2, 0, 1)[np.newaxis])
    for batch in (as_image, as_image.astype(np.uint8), as_image.astype(np.int64)):
        np.testing.assert_array_equal(takes_pixels.of_batch(batch).tensors[0], as_image)
    for wrong in (as_image / 255, as_image - 128, as_image + 1.5):
        with pytest.raises(RequestError, match="images holds values that aren't whole numbers from 0 to 255"):
            takes_pixels.of_batch(wrong)


def test_a_large_jpeg_is_reduced_while_it_is_decoded_if_that_is_asked_for(photographs: Path) -> None:
    data = (photographs / "rocket.jpg").read_bytes()
    settings = Settings(resize_short=64, crop_size=48, reduced_decode=True)
    reduced, full = (
        ModelInput(s, (None, 3, 48, 48)).of_images([data]).tensors[0]
        for s in (settings, Settings(resize_short=64, crop_size=48))
    )
    assert not np.array_equal(reduced, full)
    np.testing.assert_allclose(reduced, full, atol=1.5)


def input_of(shape: tuple[int | None, ...], *entries: object, dtype: str = "float32") -> ModelInput:
    return ModelInput(Settings(transform_ops=read_operations(list(entries)).listed), shape, dtype)


RESIZE = {"ResizeImage": {"resize_short": 32}}


@pytest.mark.parametrize(
    ("entries", "channels"),
    [
        ([RESIZE, {"CropImage": {"size": [40, 32]}}, {"NormalizeImage": {"channel_num": 4}}], 4),
        ([{"DecodeImage": {"to_rgb": False}}, RESIZE, {"CropImage": {"size": [40, 32]}}], 3),
        (
            [
                RESIZE,
                {"CropImage": {"size": [40, 32]}},
                {"NormalizeImage": {"channel_num": 1, "mean": 1, "std": 2}},
            ],
            1,
        ),
    ],
)
def test_pixels_become_what_whole_images_become(entries: list[object], channels: int) -> None:
    taker = input_of((None, channels, 32, 40), *entries)
    assert not taker.warning
    image = np.random.default_rng(0).integers(0, 256, (32, 50, 3), np.uint8)
    [whole] = taker.of_images([image]).tensors
    assert whole.shape == (1, channels, 32, 40)
    settings = Settings(transform_ops=read_operations(entries).listed)
    pixels = create_transforms(normalize=False, to_chw=False, settings=settings)(image)[np.newaxis]
    taker.check(pixels.shape, "shape", ("normalize", "to_chw"))
    np.testing.assert_array_equal(taker.of_batch(pixels, ("normalize", "to_chw")).tensors[0], whole)
    last = input_of((None, 32, 40, channels), *entries)
    last.check(pixels.shape, "shape", ("normalize",))
    as_last = last.of_batch(pixels, ("normalize",)).tensors[0]
    np.testing.assert_array_equal(as_last.transpose(0, 3, 1, 2), whole)


def test_pixels_of_other_channels_than_the_operations_take_are_refused() -> None:
    gray = input_of((None, 1, 32, 32), RESIZE, {"NormalizeImage": {"channel_num": 1, "mean": 0, "std": 1}})
    with pytest.raises(RequestError, match=r"preprocess takes a batch \[N, H, W, 1\]"):
        gray.check((1, 32, 32, 3), "shape", ("normalize", "to_chw"))


def test_a_normalization_that_is_not_the_last_can_not_be_left_to_the_server() -> None:
    entries = [RESIZE, {"NormalizeImage": None}, {"Pad": {"target_size": 64}}]
    taker = input_of((None, 3, 64, 64), *entries)
    with pytest.raises(RequestError, match="preprocess has normalize, but this model has Pad after it"):
        taker.check((1, 32, 32, 3), "shape", ("normalize", "to_chw"))
    assert taker.of_images([png(32, 64)]).tensors[0].shape == (1, 3, 64, 64)


def test_images_of_different_sizes_are_batches_of_their_own_in_any_order() -> None:
    free = input_of((None, 3, None, None), RESIZE)
    wide, tall = png(64, 96), png(96, 64)
    prepared = free.of_images([wide, tall, b"no image", wide, tall, tall])
    assert [tensor.shape for tensor in prepared.tensors] == [(2, 3, 32, 48), (3, 3, 48, 32)]
    assert [reason is None for reason in prepared.failures] == [True, True, False, True, True, True]
    wide_scores, tall_scores = (np.array(rows, np.float32) for rows in ([[1], [2]], [[3], [4], [5]]))
    in_order = prepared.in_order([wide_scores, tall_scores])
    assert in_order is not None
    assert in_order[:, 0].tolist() == [1, 3, 2, 4, 5]


def test_a_program_that_fixes_the_size_takes_no_images_that_vary() -> None:
    fixed = input_of((None, 3, 32, 32), RESIZE)
    assert fixed.warning.startswith(
        "transform_ops makes images of any x any, but the model takes [N, 3, 32, 32]: encoded images will be"
    )


def test_an_image_that_is_not_cropped_has_a_largest_size() -> None:
    free = input_of((None, 3, None, None), {"ResizeImage": {"resize_short": 1024}})
    [reason] = free.of_images([png(8, 80)]).failures
    assert reason == "the image has 10240 x 1024 pixels after resizing: too many without a crop"
    assert free.of_images([png(8, 16)]).failures == [None]


def test_a_model_of_pixels_takes_them_in_its_own_order() -> None:
    takes_bgr = input_of((None, 3, None, None), {"DecodeImage": {"to_rgb": False}}, RESIZE, dtype="uint8")
    pixels = np.random.default_rng(0).integers(0, 256, (32, 40, 3), np.uint8)
    as_image = takes_bgr.of_images([pixels]).tensors[0]
    np.testing.assert_array_equal(as_image[0], pixels[..., ::-1].transpose(2, 0, 1))
    with pytest.raises(SettingsError, match="but the settings normalize them"):
        input_of((None, 3, 32, 32), RESIZE, {"NormalizeImage": {"scale": 1}}, dtype="uint8")
