import pytest

from clas.image.layout import image_shape, image_size, is_channels_last, size_axes


@pytest.mark.parametrize(
    ("shape", "is_last"),
    [
        ((None, 3, 224, 224), False),
        ((None, 224, 224, 3), True),
        ((None, None, None, 3), True),
        ((None, 3, None, None), False),
        ((None, None, None, None), False),
        ((1, 28, 28, 1), True),
        ((1, 4, 32, 32), False),
        ((1, 3, 32, 3), False),
    ],
)
def test_only_channels_are_so_few(shape: tuple[int | None, ...], is_last: bool) -> None:
    assert is_channels_last(shape) is is_last
    rows, columns = size_axes(shape)
    assert image_size(shape) == (shape[columns], shape[rows])
    assert image_shape(40, 32, shape)[rows - 1] == 32
    assert image_shape(40, 32, shape) == ((32, 40, 3) if is_last else (3, 32, 40))
