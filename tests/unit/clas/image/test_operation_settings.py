import pytest

from clas.errors import SettingsError
from clas.image.operation_settings import as_settings, operations_of, replaced
from clas.image.operations import described, read_operations
from clas.settings import PREPROCESS_NAMES, Settings, TransformOp

RESIZE = {"ResizeImage": {"resize_short": 48, "interpolation": "BICUBIC", "backend": "PIL"}}
CROP = {"CropImage": {"size": 32}}
NORMALIZE = {"NormalizeImage": {"mean": [0.1, 0.2, 0.3], "std": 0.5, "scale": 1}}


def listed(*entries: object) -> tuple[TransformOp, ...]:
    return read_operations(list(entries)).listed


def changed(operations: tuple[TransformOp, ...], **given: object) -> list[dict[str, dict[str, object]]]:
    settings = Settings(**given)  # type: ignore[arg-type]
    return described(replaced(operations, settings, [name for name in PREPROCESS_NAMES if name in given]))


@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        Settings(resize_short=438, crop_size=384, interpolation="bicubic", resize_backend="pil"),
        Settings(resize_size=(40, 24), mean=(0, 0, 0), std=(1, 1, 1), scale=1),
    ],
)
def test_the_usual_operations_are_settings_and_the_reverse(settings: Settings) -> None:
    values = as_settings(operations_of(settings))
    assert tuple(sorted(values)) == tuple(sorted(set(PREPROCESS_NAMES) - _unused(settings)))
    assert Settings(**values) == settings  # type: ignore[arg-type]


def _unused(settings: Settings) -> set[str]:
    return {"resize_short", "crop_size"} if settings.resize_size else set()


def test_without_normalization_pixels_stay_as_they_are() -> None:
    values = as_settings(listed(RESIZE, CROP))
    assert (values["mean"], values["std"], values["scale"]) == ((0, 0, 0), (1, 1, 1), 1)


@pytest.mark.parametrize(
    "entries",
    [
        [RESIZE],
        [RESIZE, {"CropImage": {"size": [32, 24]}}],
        [{"ResizeImage": {"size": 40}}, CROP],
        [{"ResizeImage": {"size": 40, "keep_ratio": True}}],
        [CROP, RESIZE],
        [{"DecodeImage": {"to_rgb": False}}, RESIZE, CROP],
        [RESIZE, NORMALIZE, CROP],
        [RESIZE, CROP, {"NormalizeImage": {"channel_num": 4}}],
        [RESIZE, CROP, {"NormalizeImage": {"output_fp16": True}}],
        [{"CropImageAtRatio": {"size": 24, "pad": 8}}],
        [],
    ],
)
def test_other_operations_are_no_settings(entries: list[object]) -> None:
    assert as_settings(listed(*entries)) == {}
    settings = Settings(transform_ops=listed(*entries))
    assert operations_of(settings) == (listed(*entries) or operations_of(Settings()))


def test_settings_take_the_place_of_the_options_that_they_name() -> None:
    operations = listed(RESIZE, {"CropImage": {"size": [40, 32]}}, NORMALIZE)
    assert changed(operations, resize_short=64, crop_size=48, scale=0.5, resize_backend="cv2") == described(
        listed(
            {"ResizeImage": {"resize_short": 64, "interpolation": "bicubic"}},
            {"CropImage": {"size": 48}},
            {"NormalizeImage": {"mean": [0.1, 0.2, 0.3], "std": 0.5, "scale": 0.5}},
        )
    )


def test_a_size_that_no_operation_has_selects_the_usual_way_of_resizing() -> None:
    no_crop = listed(RESIZE, NORMALIZE)
    assert changed(no_crop, crop_size=40) == described(listed(RESIZE, {"CropImage": {"size": 40}}, NORMALIZE))
    at_ratio = listed({"CropImageAtRatio": {"size": 24, "pad": 8}}, NORMALIZE)
    wanted = [{"ResizeImage": {"size": [40, 32]}}, NORMALIZE]
    assert changed(at_ratio, resize_size=(40, 32)) == described(listed(*wanted))


def test_a_normalization_that_is_missing_is_added_at_the_end() -> None:
    assert changed(listed(RESIZE), mean=(1, 2, 3)) == described(
        listed(RESIZE, {"NormalizeImage": {"mean": [1, 2, 3], "std": 1, "scale": 1}})
    )


def test_settings_that_do_not_go_with_the_operations_are_refused() -> None:
    gray = listed(RESIZE, {"NormalizeImage": {"channel_num": 1, "mean": 0, "std": 1}})
    with pytest.raises(SettingsError, match=r"NormalizeImage\.mean is \[1, 2, 3\]; it takes a number"):
        changed(gray, mean=(1, 2, 3))
    with pytest.raises(SettingsError, match=r"interpolation is 'area'; it takes .* with backend pil"):
        changed(listed(RESIZE), interpolation="area")
