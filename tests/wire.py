"""The tensor form of a request, as tests want it: as an object that they may change."""

import json
from typing import Any

import numpy as np
import numpy.typing as npt

from clas.protocol import tensor_body


def encode(batch: npt.NDArray[np.generic]) -> dict[str, Any]:
    """The fields of a request for a batch."""
    fields: dict[str, Any] = json.loads(tensor_body(batch))
    return fields
