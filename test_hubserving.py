"""The client: sends images to a clas_system service and prints the results. It is not a test.

    python test_hubserving.py --server_url http://HOST:8866/predict/clas_system --image_file FILE_OR_FOLDER

Exit status: 0 if every image has a result, 1 if any has none, 2 for invalid flags or files that can't be read
or written, 130 after Ctrl-C.
"""

import sys
from typing import Final

from clas.allocator import keep_freed_memory
from clas.commandline.parser import Parser
from clas.commandline.terminal import show_any_text
from clas.errors import SettingsError
from clas.preprocess import Operation, create_transforms

try:
    from clas_client.flags import add_flags, read_flags
    from clas_client.log import set_up_log
    from clas_client.run import run
    from clas_client.settings import ClientSettings
except ModuleNotFoundError as exc:  # without a pinned set or an extra, these are what is missing
    if exc.name not in ("requests", "tqdm"):
        raise
    sys.exit(f"the client needs {exc.name}, which isn't installed here: pip install requests tqdm")

_KEPT_BLOCK: Final = 32 * 2**20  # bytes: the body of 32 images in float32
_KEPT: Final = 128 * 2**20


def make_preprocess(args: ClientSettings) -> Operation:
    """Return what is done to each image [H, W, 3] (RGB, uint8) before it joins a batch. CHANGE IT HERE.

    It is any callable that takes and returns an array, for example
    `Compose([ResizeShort(256), CenterCrop(224), my_function, ToCHW()])` with classes of clas/preprocess.py.
    With `--wire uint8`, normalize and to_chw are left to the server and False here; with `--wire encoded`,
    everything is, and this isn't called.
    """
    return create_transforms(
        args.resize_short,
        args.crop_size,
        normalize=args.normalize,
        to_chw=args.to_chw,
        settings=args.settings,
    )


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    settings = _parse(argv)
    show_any_text()
    set_up_log()
    keep_freed_memory(_KEPT_BLOCK, _KEPT)  # tensors and bodies of the same size come again and again
    return run(settings, make_preprocess)


def _parse(argv: list[str] | None) -> ClientSettings:
    parser = Parser(
        description="Send images to a clas_system service.",
        usage="%(prog)s --server_url URL --image_file PATH [FLAG ...]",
    )
    add_flags(parser)
    args = parser.parse_args(argv)
    try:
        return read_flags(args)
    except SettingsError as exc:
        parser.error(str(exc))


if __name__ == "__main__":
    sys.exit(main())
