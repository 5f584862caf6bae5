"""What Triton's statistics extension tells of a model, made of our metrics."""

from collections.abc import Mapping
from typing import Final

_NS: Final = 10**9
_MS: Final = 10**3


def describe_statistics(name: str, totals: Mapping[str, float]) -> dict[str, object]:
    """Return the statistics of a model since the server's start, over both of its protocols.

    Triton also has statistics by batch size, of which there are none here.

    Args:
        name: The model's.
        totals: As `Metrics.totals`.
    """
    requests, failed = (
        _duration(totals, f"clas_{kind}_seconds") for kind in ("request_latency", "failed_request")
    )
    return {
        "name": name,
        "last_inference": round(totals["clas_last_prediction_timestamp_seconds"] * _MS),
        "inference_count": round(totals["clas_images_total"]),
        "execution_count": round(totals["clas_batch_size_count"]),
        "inference_stats": {
            "success": {key: requests[key] - failed[key] for key in requests},
            "fail": failed,
            "queue": _duration(totals, "clas_queue_seconds"),
            "compute_input": _duration(totals, "clas_prepare_seconds"),
            "compute_infer": _duration(totals, "clas_compute_seconds"),
            "compute_output": {"count": 0, "ns": 0},  # a part of none of these: it isn't measured
        },
        "batch_stats": [],
    }


def _duration(totals: Mapping[str, float], metric: str) -> dict[str, int]:
    return {"count": round(totals[f"{metric}_count"]), "ns": round(totals[f"{metric}_sum"] * _NS)}
