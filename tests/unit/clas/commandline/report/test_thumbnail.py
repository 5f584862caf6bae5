from pathlib import Path

import cv2
import numpy as np
import pytest

from clas.commandline.report.thumbnail import make_thumbnail
from clas.image.sources import from_file


@pytest.mark.parametrize(
    ("width", "height", "small"), [(800, 400, (160, 80)), (3, 5000, (1, 160)), (20, 10, (20, 10))]
)
def test_a_thumbnail_is_a_small_jpeg_of_the_image(
    tmp_path: Path, width: int, height: int, small: tuple[int, int]
) -> None:
    image = np.full((height, width, 3), (200, 100, 20), np.uint8)  # blue, green, red
    file = tmp_path / "图片.png"
    file.write_bytes(cv2.imencode(".png", image)[1].tobytes())
    data = make_thumbnail(from_file(file))
    assert data.startswith(b"\xff\xd8")
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert decoded.shape == (small[1], small[0], 3)
    assert np.abs(decoded.mean((0, 1)) - (200, 100, 20)).max() < 5


def test_a_file_that_is_no_image_has_no_thumbnail(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no image")
    assert make_thumbnail(from_file(tmp_path / "a.png")) == b""
    assert make_thumbnail(from_file(tmp_path / "nowhere.png")) == b""
