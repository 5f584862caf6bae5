"""How many requests are on their way at once, where --concurrency doesn't say."""

import math
from itertools import islice
from typing import Final

from clas.image.files import count_images

from .settings import ClientSettings

MOST: Final = 16
"""The most requests at once; more threads of this client cost more than they bring."""
_ON_THE_WAY: Final = 2  # beside those that are computed: so that no predictor waits for the next one
_MOST_IMAGES: Final = 128  # in all these requests: about 0.2 GB here, in float32 of 224 x 224


def choose_concurrency(settings: ClientSettings, predictors: int | None) -> int:
    """Return how many requests to have on their way at once.

    Args:
        settings: Read for concurrency, image_file and batch_size.
        predictors: How many requests the server computes at once; None if it doesn't say.

    Returns:
        That of the settings, if it isn't 0. Otherwise, as many as keep the server busy; 1 if it doesn't
        describe itself: PaddleHub's counts the time that a request waits for others in its `elapse`, so that
        the averages would be those of several requests.
    """
    if settings.concurrency:
        return settings.concurrency
    if predictors is None:
        return 1
    most = min(predictors + _ON_THE_WAY, MOST, max(2, _MOST_IMAGES // settings.batch_size))
    found = islice(count_images(settings.image_file), most * settings.batch_size)
    images = max(found, default=0)
    return max(1, min(most, math.ceil(images / settings.batch_size)))
