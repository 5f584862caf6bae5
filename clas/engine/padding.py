"""Batches of a model that takes one batch size only."""

import numpy as np

from .base import Batch


def padded(batch: Batch, batch_size: int | None) -> Batch:
    """Fill a batch up with zeros; it is returned as it is if it is large enough, or any size will do."""
    missing = (batch_size or 0) - len(batch)
    if missing <= 0:
        return batch
    return np.concatenate([batch, np.zeros((missing, *batch.shape[1:]), np.float32)])
