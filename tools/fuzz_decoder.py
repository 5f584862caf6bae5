"""Decode changed image files one after the other and say what they cost; run by fuzz_images.py.

    fuzz_decoder.py STATE SEED START END

STATE is a file of 8 bytes, which holds the number of the file that is being decoded, so that the one is known
of which this process dies. Each one leaves a line of JSON.
"""

import contextlib
import dataclasses
import hashlib
import json
import mmap
import resource
import signal
import struct
import sys
import time
from pathlib import Path
from random import Random
from typing import Final

import cv2

_REPOSITORY: Final = Path(__file__).parent.parent
sys.path[:0] = [str(_REPOSITORY), str(Path(__file__).parent)]  # run as a script, in any environment

from clas.errors import ImageError  # noqa: E402
from clas.image.decode import DecodeImage  # noqa: E402
from fuzz_mutations import mutated  # noqa: E402
from fuzz_seeds import seeds  # noqa: E402

MAX_PIXELS: Final = 89_478_485  # the server's default
_HANG_S: Final = 60.0  # then SIGALRM ends the process, within native code as well
_MAX_MEMORY: Final = 8 * 2**30
_RESET_PEAK: Final = "5"
_REDUCE_TO: Final = 8


@dataclasses.dataclass
class Cost:
    """What one file did.

    Attributes:
        number: The file's.
        cpu_s: Seconds of CPU.
        memory: Bytes of memory that were taken and given back.
        pixels: Width times height as the header says; 0 if it was refused before.
        digest: Of the image; empty if the file was refused.
    """

    number: int
    cpu_s: float = 0.0
    memory: int = 0
    pixels: int = 0
    digest: str = ""


class _Decoder(DecodeImage):
    """Keeps the size that is found."""

    pixels = 0

    def _check_size(self, width: int, height: int) -> None:
        super()._check_size(width, height)
        self.pixels = width * height


class Files:
    """The changed files by their numbers.

    Args:
        seed: Chooses the changes.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        files = seeds()
        self.names = list(files)
        self._files = list(files.values())

    def name(self, number: int) -> str:
        """Return what the file was before it was changed."""
        return self.names[number % len(self.names)]

    def __getitem__(self, number: int) -> bytes:
        return mutated(Random(f"{self._seed} {number}"), self._files, number % len(self._files))


def decode(data: bytes, number: int) -> Cost:
    """Decode one file, and measure."""
    decoder = _Decoder(MAX_PIXELS if number % 4 else None, _REDUCE_TO if number % 3 == 0 else None)
    cost = Cost(number)
    Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
    before = _memory("VmRSS")
    start = time.process_time()
    with contextlib.suppress(ImageError):
        cost.digest = hashlib.blake2b(decoder(data).tobytes(), digest_size=8).hexdigest()
    cost.cpu_s = time.process_time() - start
    cost.memory = _memory("VmHWM") - before
    cost.pixels = decoder.pixels
    return cost


def _memory(name: str) -> int:
    """Return a number of /proc/self/status, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


def _main(state: str, *numbers: str) -> None:
    seed, start, end = (int(number) for number in numbers)
    cv2.setNumThreads(1)
    resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY, _MAX_MEMORY))
    with open(state, "r+b") as file:  # noqa: PTH123  # for mmap
        place = mmap.mmap(file.fileno(), 8)
    files = Files(seed)
    decode(files[0], 0)  # what is loaded once
    for number in range(start, end):
        data = files[number]
        struct.pack_into("<q", place, 0, number)
        signal.setitimer(signal.ITIMER_REAL, _HANG_S)
        print(json.dumps(dataclasses.asdict(decode(data, number))), flush=True)
    struct.pack_into("<q", place, 0, end)


if __name__ == "__main__":
    _main(*sys.argv[1:])
