"""The ways to compute in which Paddle may run a model, and in which order they are tried.

MKL-DNN can't compute every program, and fewer in bfloat16: of 22 networks of PaddleClas 8 fail in bf16 as
.pdmodel. In fp32 with MKL-DNN these run 1.5 to 3.6 times as fast as without it.
"""

from collections.abc import Sequence
from typing import NamedTuple

from ..settings import Settings


class Mode(NamedTuple):
    """A way to compute.

    Attributes:
        mkldnn: With MKL-DNN (oneDNN).
        precision: "fp32", "bf16" or "fp16".
    """

    mkldnn: bool
    precision: str

    def instead_of(self, failed: "Mode") -> str:
        """Say what doesn't run, and what is done instead."""
        if failed.precision != self.precision:
            return f"in {failed.precision}, continuing in {self.precision}"
        return "with MKL-DNN, continuing without it"


def modes_of(settings: Settings) -> Sequence[Mode]:
    """Return the ways to try, in this order.

    Args:
        settings: Read for use_gpu, enable_mkldnn and precision.
    """
    if settings.use_gpu:
        return [Mode(mkldnn=False, precision=settings.precision)]
    plain = Mode(mkldnn=False, precision="fp32")
    if not settings.enable_mkldnn:
        return [plain]
    fast = Mode(mkldnn=True, precision="fp32")
    return [fast._replace(precision="bf16"), fast, plain] if settings.precision == "bf16" else [fast, plain]
