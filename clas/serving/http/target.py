"""What a request is for, by its path."""

from collections.abc import Container
from typing import Final, NamedTuple

from ...protocol import MODELS_PATH, OPEN_INFERENCE_PATH, PREDICTIONS_PATH, REPOSITORY_PATH
from .web_ui import ICON_PATH, UI_PATH

_OF_THE_SERVER: Final = frozenset(
    (
        *("/", "/health/live", "/health/ready", "/metrics", "/docs", "/openapi.json", UI_PATH, ICON_PATH),
        *(OPEN_INFERENCE_PATH, f"{OPEN_INFERENCE_PATH}/health/live", f"{OPEN_INFERENCE_PATH}/health/ready"),
        *(f"{MODELS_PATH}/stats", f"{REPOSITORY_PATH}/index"),
    )
)
_PREDICTIONS: Final = f"{PREDICTIONS_PATH}/"
_MODELS: Final = (f"{MODELS_PATH}/", f"{REPOSITORY_PATH}/models/")
_INFER: Final = "infer"
_OF_A_MODEL: Final = frozenset(("", "config", "ready", "stats", "load", "unload", _INFER))


class Target(NamedTuple):
    """What a request is for.

    Attributes:
        label: The path as the metrics have it, of which there is a bounded number.
        model: The name of the model; empty if it is about none.
        is_prediction: Whether it is for a prediction.
    """

    label: str
    model: str = ""
    is_prediction: bool = False


def target_of(path: str, models: Container[str]) -> Target:
    """Return what a request is for.

    Args:
        path: Its path.
        models: The names of the models that there are.
    """
    if path.startswith(_PREDICTIONS):
        name = path[len(_PREDICTIONS) :]
        return Target(path, name, is_prediction=True) if name in models else Target("other")
    if path in _OF_THE_SERVER:
        return Target(path)
    for prefix in _MODELS:
        if path.startswith(prefix):
            name, _, rest = path[len(prefix) :].partition("/")
            if name in models and rest in _OF_A_MODEL:
                return Target(path, name, is_prediction=rest == _INFER)
    return Target("other")
