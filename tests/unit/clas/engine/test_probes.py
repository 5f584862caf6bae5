import numpy as np
import pytest

from clas.engine.probes import probe_batches


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_zeros_light_and_noise_come_in_batches_of_the_models_size(count: int, dtype: str) -> None:
    batches = list(probe_batches([count, 3, 8, 8], dtype))
    assert {batch.shape for batch in batches} == {(count, 3, 8, 8)}
    assert {batch.dtype for batch in batches} == {np.dtype(np.float32)}
    zeros, light, noise = np.concatenate(batches)[:3]
    assert not zeros.any()
    assert light.min() == light.max() > 1
    assert len(np.unique(noise)) > 50
    if dtype == "uint8":
        assert (noise == noise.astype(np.uint8)).all()
    else:
        assert noise.min() < 0
