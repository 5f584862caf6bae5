import pytest

from clas.serving.http.target import Target, target_of

MODELS = ("clas_system", "rose", "stats")


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/health/live", "/health/ready", "/metrics", "/docs", "/openapi.json", "/ui"),
        *("/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/stats", "/v2/repository/index"),
    ],
)
def test_what_is_for_the_server_is_for_no_model(path: str) -> None:
    assert target_of(path, MODELS) == Target(path, "", is_prediction=False)


@pytest.mark.parametrize("path", ["/predict/rose", "/v2/models/rose/infer"])
def test_a_prediction_is_for_its_model_in_either_protocol(path: str) -> None:
    assert target_of(path, MODELS) == Target(path, "rose", is_prediction=True)


@pytest.mark.parametrize(
    "path",
    [
        *(f"/v2/models/rose{rest}" for rest in ("", "/config", "/ready", "/stats")),
        *(f"/v2/repository/models/rose{rest}" for rest in ("/load", "/unload")),
    ],
)
def test_all_else_about_a_model_is_for_it_and_no_prediction(path: str) -> None:
    assert target_of(path, MODELS) == Target(path, "rose", is_prediction=False)


@pytest.mark.parametrize(
    "path",
    [
        *("", "/predict", "/predict/", "/predict/lily", "/predict/rose/x", "/predict/rose/", "/predict/ROSE"),
        *("/v2/models", "/v2/models/", "/v2/models/lily", "/v2/models/lily/infer", "/v2/models/rose/x"),
        *("/v2/models/rose/infer/", "/v2/models/rose/versions/1/infer", "/v2/models//infer"),
        *("/v2/repository/models/lily/load", "/v2/repository/models/rose/x", "/v2/repository/models/"),
        *("/docs/assets/x.css", "/ui/assets/x.js", "/health", "//predict/rose", "/predict/../predict/rose"),
        f"/predict/{'x' * 5000}",
    ],
)
def test_whatever_else_clients_think_of_is_counted_together(path: str) -> None:
    """Their paths would fill the metrics."""
    assert target_of(path, MODELS) == Target("other", "", is_prediction=False)


def test_without_a_model_there_are_no_predictions() -> None:
    assert target_of("/predict/rose", ()) == Target("other")
