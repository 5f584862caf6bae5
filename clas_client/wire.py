"""Request forms: how an image is read, and how a batch is encoded."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from clas.image.conversion import converted
from clas.image.factory import Operation
from clas.image.sources import ImageSource
from clas.image.transforms import reduced_size
from clas.protocol import OPERATIONS, files_body

from .batches import stacked_body
from .images import load_image
from .preprocess_check import warn_of_differences
from .server_info import ServerInfo
from .settings import ClientSettings

MakePreprocess = Callable[[ClientSettings], Operation]


class Wire(NamedTuple):
    """A form of request.

    Attributes:
        read: Reads an image as this form sends it; raises ImageError.
        make_body: Encodes a batch of what `read` returned; raises ServiceError.
    """

    read: Callable[[ImageSource], Any]
    make_body: Callable[[Sequence[Any]], bytes]


def make_wire(settings: ClientSettings, server: ServerInfo, make_preprocess: MakePreprocess) -> Wire:
    """Make the form of request that the settings ask for; warn if the server preprocesses in another way.

    Args:
        settings: The client settings.
        server: What the server says about itself.
        make_preprocess: Makes the callable that preprocesses each image.

    Raises:
        ServiceError: The server's preprocessing is wanted, and not available.
        SettingsError: The preprocessing needs Pillow, which isn't installed.
    """
    if settings.wire == "encoded":
        return Wire(lambda source: converted(source.load()), partial(files_body, top_k=settings.top_k))
    given = settings
    if settings.preprocess == "server":
        described = server.preprocessing()
        settings = dataclasses.replace(
            settings, resize_short=described.resize_short, crop_size=described.crop_size, settings=described
        )
    operations: list[str] = []
    if settings.wire == "uint8":
        operations = [name for name in OPERATIONS if getattr(settings, name)]
        settings = dataclasses.replace(settings, normalize=False, to_chw=False)
    preprocess = make_preprocess(settings)
    if given.preprocess != "server":
        whole = make_preprocess(given) if given.wire == "uint8" else preprocess
        warn_of_differences(given, whole, server)
    size = reduced_size(settings.resize_short, settings.settings)
    reduce_to = size if settings.reduced_decode else None
    return Wire(
        lambda source: preprocess(load_image(source, reduce_to)),
        partial(stacked_body, operations=operations, top_k=settings.top_k),
    )
