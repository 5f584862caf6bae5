"""What runs here, as `GET /` tells it: to the client, to the page, and to people."""

from typing import Final

from ...protocol import MODULE_NAME, PREDICTIONS_PATH, VERSION
from ..models.registry import Models
from ..models.served_model import ServedModel
from ..options import ServerOptions
from .docs_page import DOCS_PATH
from .web_ui import UI_PATH

_LIMITS: Final = ("max_request_bytes", "max_queue_images", "max_queue_bytes", "timeout_s")


def describe_service(models: Models, options: ServerOptions, workers: int, prefix: str) -> dict[str, object]:
    """Describe a server: all of its models, and the first one as servers of one model always did.

    Args:
        models: The models.
        options: The limits.
        workers: The number of processes.
        prefix: What precedes all paths where the client is.
    """
    described = [_describe(model, prefix) for model in models]
    first = next((one for one in described if one["model"]), described[0] if described else {})
    return {
        "name": MODULE_NAME,
        "version": VERSION,
        "state": "loading" if models.is_loading else "ready",
        "model": first.get("model"),
        "workers": workers,
        "predictors": first.get("predictors"),
        "limits": {name: getattr(options, name) for name in _LIMITS},
        "predict": first.get("predict"),
        "models": described,
        "docs": f"{prefix}{DOCS_PATH}",
        "ui": f"{prefix}{UI_PATH}",
    }


def _describe(model: ServedModel, prefix: str) -> dict[str, object]:
    pool = model.pool
    pipeline = pool.pipeline if pool else None
    serving, wanted = pool.predictors if pool else (0, 0)
    return {
        "name": model.name,
        "state": model.state.value,
        "reason": model.reason,
        "version": model.version,
        "predict": f"{prefix}{PREDICTIONS_PATH}/{model.name}",
        "predictors": {"serving": serving, "wanted": wanted},
        "model": pipeline.describe() if pipeline else None,
    }
