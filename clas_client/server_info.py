"""What a standalone server says about itself at `/`: its preprocessing, its model, and its predictors.

PaddleHub's server has a page of HTML there, and doesn't describe itself.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import requests

from clas.commandline.report.page_head import facts_of
from clas.errors import SettingsError
from clas.image.operations import read_operations
from clas.protocol import MODULE_NAME, PREDICTIONS_PATH
from clas.settings import PREPROCESS_NAMES, Settings, load_settings

from .reply import Reply, ServiceError, in_one_line
from .resume_check import MODEL_PREFIX
from .sender import Sender

_MODEL_FACTS: Final = (
    *("name", "input_shape", "classes", "preprocess"),
    *("output_name", "main_indicator", "threshold", "postprocess", "top_k", "softmax"),
)
_NOT_DESCRIBED: Final = (
    "it doesn't describe its preprocessing, as PaddleHub's server never does: remove --preprocess server, "
    "or let the server do all of it (--wire encoded)"
)


@dataclasses.dataclass(frozen=True)
class ServerInfo:
    """What a server answered to GET; it may be any server, and nothing in its answer is trusted.

    Attributes:
        root: The address that was asked.
        answer: What came; or why nothing did.
        content: The JSON object in it; {} for anything else. Of a refusal only its `msg`.
        served_as: The name of the model in the address for predictions; a server may have several.
    """

    root: str
    answer: Reply | ServiceError
    content: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    served_as: str = MODULE_NAME

    @property
    def _of_model(self) -> Mapping[str, Any]:
        """What it says about the model that is asked; a server of one model may say it directly."""
        models = self.content.get("models")
        named = [one for one in models if isinstance(one, dict)] if isinstance(models, list) else []
        return next((one for one in named if one.get("name") == self.served_as), self.content)

    @property
    def model(self) -> Mapping[str, Any]:
        """What it says about its model; {} if it says nothing, or is still loading it."""
        model = self._of_model.get("model")
        return model if isinstance(model, dict) else {}

    @property
    def predictors(self) -> int | None:
        """How many requests it computes at once, in all its processes; None if it doesn't say."""
        predictors = self._of_model.get("predictors")
        wanted = predictors.get("wanted") if isinstance(predictors, dict) else None
        workers = self.content.get("workers")
        if type(wanted) is not int or type(workers) is not int or wanted < 1 or workers < 1:
            return None
        return wanted * workers

    def model_facts(self) -> dict[str, Any]:
        """Return the facts that identify the service's model; {} if the service doesn't describe it."""
        return {f"{MODEL_PREFIX}{name}": self.model[name] for name in _MODEL_FACTS if name in self.model}

    def head_facts(self) -> dict[str, str]:
        """Return what the head of a page says about it: its address, its model and what runs that."""
        parts = urlsplit(self.root)
        without_password = parts._replace(netloc=parts.netloc.rpartition("@")[2])
        return {"server": urlunsplit(without_password), **facts_of(self.model)}

    def preprocessing(self) -> Settings:
        """Return what the server does to images.

        Returns:
            Settings with the server's PREPROCESS_NAMES or transform_ops, and defaults for all else.

        Raises:
            ServiceError: The server can't be reached, refuses, or doesn't describe its preprocessing.
        """
        described = self.model.get("preprocess")
        if not isinstance(described, dict):
            raise self._refusal()
        if missing := [name for name in PREPROCESS_NAMES if name not in described]:
            raise ServiceError(
                f"{self.root} doesn't describe its {missing[0]}: use the same version of client and server"
            )
        try:
            if operations := described.get("transform_ops"):
                return Settings(transform_ops=read_operations(operations).listed)
            return load_settings(described, params={})
        except SettingsError as exc:
            raise ServiceError(
                f"{self.root} has a preprocessing that this client doesn't support: {exc}"
            ) from exc

    def _refusal(self) -> ServiceError:
        """Say why it doesn't describe its preprocessing."""
        if isinstance(self.answer, ServiceError):
            return self.answer
        if "model" in self.content and self._of_model.get("model") is None:
            return ServiceError(f"{self.root} is still loading its model: try again")
        reason = f"; {_NOT_DESCRIBED}"
        if "model" not in self.content and "msg" in self.content:
            reason = f": {in_one_line(str(self.content['msg']))}{self.answer.hint}"
        return ServiceError(f"{self.root} answered HTTP {self.answer.status}{reason}")


def ask_server(sender: Sender, predict_url: str) -> ServerInfo:
    """Ask a server what it says about itself.

    Args:
        sender: The connections to it.
        predict_url: The address for predictions; `/` is what precedes /predict/NAME.
    """
    root, served_as = split_url(predict_url)
    try:
        reply = sender.get(root)
    except ServiceError as exc:
        return ServerInfo(root, exc, served_as=served_as)
    try:
        content: Any = reply.json()
    except ServiceError:  # PaddleHub's page
        content = None
    if not isinstance(content, dict):
        content = {}
    if reply.status != requests.codes.ok:
        content = {name: content[name] for name in ("msg",) if name in content}
    return ServerInfo(root, reply, content, served_as)


def split_url(predict_url: str) -> tuple[str, str]:
    """Return the address of a server's `/`, and the name of the model.

    Args:
        predict_url: The address for predictions: /predict/NAME, perhaps behind the prefix of a proxy.
    """
    parts = urlsplit(predict_url)
    path = parts.path.rstrip("/")
    prefix, _, name = path.rpartition("/")
    root = prefix.removesuffix(PREDICTIONS_PATH) if prefix.endswith(PREDICTIONS_PATH) else path
    return urlunsplit((parts.scheme, parts.netloc, f"{root}/", "", "")), name
