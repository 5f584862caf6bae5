import msgspec
import pytest

from clas.errors import (
    ClasError,
    MediaTypeError,
    MethodError,
    NotFoundError,
    PredictionError,
    RequestError,
    SlowRequestError,
    TooLargeError,
    UnauthorizedError,
    UnavailableError,
)
from clas.output.base import Prediction
from clas.serving.http.responses import failure, success


def test_a_success_has_paddlehubs_envelope() -> None:
    prediction: list[Prediction] = [{"class_ids": [1], "scores": [0.12345], "label_names": ["金鱼"]}]
    response = success(prediction, 0.5)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    results = {"prediction": prediction, "elapse": 0.5}
    assert msgspec.json.decode(response.body) == {"status": "000", "msg": "", "results": results}
    assert "Server-Timing" not in response.headers
    assert success(prediction, 0.5, "queue;dur=1.0").headers["Server-Timing"] == "queue;dur=1.0"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RequestError, 400),
        (UnauthorizedError, 401),
        (NotFoundError, 404),
        (MethodError, 405),
        (SlowRequestError, 408),
        (TooLargeError, 413),
        (MediaTypeError, 415),
        (ClasError, 500),
        (PredictionError, 500),
        (UnavailableError, 503),
    ],
)
@pytest.mark.parametrize("path", ["", "/", "/v2", "/v2/models/x", "/v20", "/predict/v2/"])
def test_a_failure_has_its_protocols_form_under_its_true_code(
    error: type[ClasError], code: int, path: str
) -> None:
    response = failure(error("top_k is 0"), path)
    assert response.status_code == code
    envelope = {"status": "101", "msg": "top_k is 0", "results": ""}
    is_open_inference = path in ("/v2", "/v2/models/x")
    assert msgspec.json.decode(response.body) == ({"error": "top_k is 0"} if is_open_inference else envelope)
    assert response.headers.get("Retry-After") == ("1" if code == 503 else None)
    assert response.headers.get("WWW-Authenticate") == ("Bearer" if code == 401 else None)
