"""The cores that Ray has reserved for this process."""

from typing import Any

import ray

from ...engine.devices import available_cores


def reserved_cores() -> int:
    """Return how many cores are reserved, at least 1; all that there are if none are reserved."""
    context: Any = ray.get_runtime_context()
    reserved = context.get_assigned_resources().get("CPU", 0)  # may be a fraction
    everything = available_cores()
    return min(max(1, int(reserved)), everything) if reserved else everything
