from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from clas.errors import ClasError, StartupError
from clas.protocol import MODELS_PATH, MODULE_NAME, PREDICT_PATH, VERSION, decode
from clas.serving.http.form import MULTIPART
from clas.serving.http.openapi import describe_api
from clas.serving.http.openapi_schemas import Schema
from clas.serving.http.request_body import JSON, check_media_type
from clas.serving.options import ServerOptions, load_options
from model_folders import put_broken, put_model
from served import ADMIN_TOKEN, Served, encoded, image_file, served

VALID = "0123456789abcdef"
DOCUMENT = describe_api(ServerOptions(), [MODULE_NAME])
PATHS = sorted(DOCUMENT["paths"])
MODEL = f"{MODELS_PATH}/{MODULE_NAME}"
INFER = f"{MODEL}/infer"
CONTROL = load_options({"model_control": True, "admin_token_file": "admins.txt"})


def fits(value: object, schema: Schema) -> bool:
    """Whether JSON fits a schema of the document, which is read as OpenAPI 3.0 has it."""
    components = {"schemas": {name: plain(item) for name, item in DOCUMENT["components"]["schemas"].items()}}
    return jsonschema_rs.Draft4Validator({"allOf": [plain(schema)], "components": components}).is_valid(value)


def plain(schema: Any) -> Any:
    """OpenAPI's `nullable`, as JSON Schema says it."""
    if isinstance(schema, list):
        return [plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    converted = {key: plain(value) for key, value in schema.items() if key != "nullable"}
    return {"anyOf": [converted, {"type": "null"}]} if schema.get("nullable") is True else converted


def schema_named(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def operations() -> Iterator[tuple[str, str, Schema]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def contents() -> Iterator[tuple[str, Schema]]:
    """Every described content, with its place."""
    for path, _, operation in operations():
        for code, answer in operation["responses"].items():
            for kind, content in answer["content"].items():
                yield f"{path} {code} {kind}", content
        for kind, content in operation.get("requestBody", {"content": {}})["content"].items():
            yield f"{path} {kind}", content


def examples() -> Iterator[tuple[str, object, Schema]]:
    for place, content in contents():
        if "example" in content:
            yield place, content["example"], content["schema"]
        for name, example in content.get("examples", {}).items():
            yield f"{place} {name}", example["value"], content["schema"]


@pytest.fixture(scope="module")
def service(tiny_model: Path) -> Iterator[Served]:
    with served(tiny_model, max_request_bytes=100_000, max_queue_images=3) as running:
        yield running


def test_the_document_names_version_and_limits() -> None:
    document = describe_api(ServerOptions(max_request_bytes=1000, timeout_s=2.5), [MODULE_NAME])
    assert document["openapi"] == "3.0.3"
    assert document["info"]["version"] == VERSION
    assert "up to 1000 bytes and 2.5 s" in document["info"]["description"]
    assert "up to 128 MiB and 30 s" in describe_api(ServerOptions(), [MODULE_NAME])["info"]["description"]


@pytest.mark.parametrize(("place", "example", "schema"), [pytest.param(*it, id=it[0]) for it in examples()])
def test_every_example_fits_its_schema(place: str, example: object, schema: Schema) -> None:
    assert fits(example, schema), place


@pytest.mark.parametrize("path", [PREDICT_PATH, INFER])
def test_every_json_answer_to_a_prediction_has_an_example(path: str) -> None:
    places = {place for place, _, _ in examples()}
    for code in DOCUMENT["paths"][path]["post"]["responses"]:
        assert f"{path} {code} {JSON}" in places


@pytest.mark.parametrize("names", [[MODULE_NAME], ["rose", "lily"], []])
@pytest.mark.parametrize("has_control", [False, True])
def test_every_reference_leads_somewhere(names: list[str], has_control: bool) -> None:
    def references(item: object) -> Iterator[str]:
        if isinstance(item, dict):
            if "$ref" in item:
                yield item["$ref"]
            item = list(item.values())
        if isinstance(item, list):
            for inner in item:
                yield from references(inner)

    document = describe_api(CONTROL if has_control else ServerOptions(), names)
    found = set(references(document))
    assert found == {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}


def test_the_example_of_the_tensor_form_is_a_tensor_and_that_of_images_a_list() -> None:
    json_form = DOCUMENT["paths"][PREDICT_PATH]["post"]["requestBody"]["content"][JSON]
    tensor, images = (json_form["examples"][name]["value"] for name in ("tensor", "images"))
    decoded = decode(tensor["images"], tensor["revert_params"])
    assert not isinstance(decoded, list)
    assert decoded.shape == (1, 3, 1, 1)
    assert decode(images["images"], None) == images["images"]


@pytest.mark.parametrize(
    ("body", "is_described"),
    [
        ({"images": "AAAA", "revert_params": {"shape": [4], "dtype": "uint8"}}, True),
        ({"images": "AAAA", "revert_params": {"shape": [4], "dtype": "uint8"}, "top_k": None}, True),
        ({"images": ["AAAA"], "top_k": 3}, True),
        ({"images": ["AAAA"], "top_k": 0}, False),
        ({"images": ["AAAA"], "topk": 3}, False),
        ({"images": []}, False),
        ({"images": "AAAA"}, False),
        ({"images": ["AAAA"], "revert_params": {"shape": [4], "dtype": "uint8"}}, False),
        ({"images": "AAAA", "revert_params": {"shape": [], "dtype": "uint8"}}, False),
        ({"images": "AAAA", "revert_params": {"shape": [4]}}, False),
        ({}, False),
    ],
)
def test_the_forms_of_a_request_are_described(body: object, is_described: bool) -> None:
    content = DOCUMENT["paths"][PREDICT_PATH]["post"]["requestBody"]["content"]
    assert fits(body, content[JSON]["schema"]) is is_described


def test_every_described_type_of_body_is_taken() -> None:
    kinds = list(DOCUMENT["paths"][PREDICT_PATH]["post"]["requestBody"]["content"])
    assert kinds[:2] == [JSON, MULTIPART]
    for kind in kinds:
        check_media_type(kind, "")


@pytest.mark.parametrize("path", [PREDICT_PATH, INFER])
def test_every_status_that_a_prediction_can_have_is_described(path: str) -> None:
    def below(error: type[ClasError]) -> Iterator[type[ClasError]]:
        yield error
        for kind in error.__subclasses__():
            yield from below(kind)

    at_start = set(below(StartupError))
    codes = {error.http_status for error in below(ClasError) if error not in at_start}
    elsewhere = {405, 409}  # of methods that the document doesn't have, and of loading models
    described = set(DOCUMENT["paths"][path]["post"]["responses"])
    assert described == {"200", *(str(code) for code in codes - elsewhere)}


@pytest.mark.parametrize(
    ("code", "request_"),
    [
        (200, {"json": encoded(0, 1)}),
        (200, {"json": {"images": [*encoded(0)["images"], "AAAA"], "top_k": 1}}),
        (400, {"json": {"images": []}}),
        (413, {"content": b"x" * 100_001, "headers": {"Content-Type": "image/jpeg"}}),
        (413, {"json": {"images": ["AAAA"] * 4}}),
        (415, {"content": b"x", "headers": {"Content-Type": "text/plain"}}),
    ],
)
def test_true_answers_fit_the_document(service: Served, code: int, request_: dict[str, Any]) -> None:
    response = service.post(**request_)
    assert response.status_code == code
    answer = DOCUMENT["paths"][PREDICT_PATH]["post"]["responses"][str(code)]
    content = answer["content"][response.headers["Content-Type"]]
    assert fits(response.json(), content["schema"])
    assert set(answer.get("headers", {})) <= {"X-Request-ID", "X-Model-Version", "Server-Timing"}
    assert all(name in response.headers for name in answer.get("headers", {}))


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"main_indicator": "TableAttribute"}, "attributes"),
        (
            {
                "main_indicator": "groups",
                "groups": [{"name": "channel", "outputs": [0, 1, 2], "labels": ["red", "green", "blue"]}],
            },
            "groups",
        ),
        ({"main_indicator": "NormalizeFeatures"}, "feature"),
        ({"main_indicator": "features", "feature_format": "base64"}, "feature"),
        ({"main_indicator": "MultiLabelThreshOutput", "threshold": {"default": 0.5, "3": 0.2}}, None),
    ],
)
def test_true_answers_of_each_form_fit_the_document(
    tiny_model: Path, settings: dict[str, Any], field: str | None
) -> None:
    with served(tiny_model, settings=settings) as service:
        response = service.post(json=encoded(0, 1))
        described = service.client.get("/").json()
    content = DOCUMENT["paths"][PREDICT_PATH]["post"]["responses"]["200"]["content"][JSON]
    assert fits(response.json(), content["schema"])
    [first, _] = response.json()["results"]["prediction"]
    assert set(first) - {"class_ids", "scores", "label_names", "output"} == ({field} if field else set())
    front = DOCUMENT["paths"]["/"]["get"]["responses"]["200"]["content"][JSON]
    assert fits(described, front["schema"])
    assert settings.items() <= {**described["model"], **described["model"]["postprocess"]}.items()


@pytest.mark.parametrize("path", ["/", "/health/live", "/health/ready"])
def image_input(**fields: object) -> dict[str, object]:
    """The form of an inference request that has an image file."""
    return {"name": "inputs", "shape": [1], "datatype": "BYTES", "data": encoded(0)["images"], **fields}


@pytest.mark.parametrize(
    ("code", "body"),
    [
        (200, {"inputs": [image_input()]}),
        (200, {"inputs": [image_input()], "id": "1", "outputs": [{"name": "class_ids"}]}),
        (200, {"inputs": [image_input()], "parameters": {"mine": True}, "outputs": None, "id": None}),
        (400, {"inputs": [image_input(name="x")]}),
        (400, {"inputs": [image_input(data=["AAAA"])]}),
        (413, {"inputs": [image_input(shape=[4], data=["AAAA"] * 4)]}),
    ],
)
def test_true_answers_to_inference_requests_fit_the_document(
    service: Served, code: int, body: dict[str, Any]
) -> None:
    assert fits(body, schema_named("InferenceRequest"))
    response = service.client.post(INFER, json=body)
    assert response.status_code == code
    answer = DOCUMENT["paths"][INFER]["post"]["responses"][str(code)]
    assert fits(response.json(), answer["content"][JSON]["schema"])


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"inputs": []},
        {"inputs": [image_input(), image_input()]},
        {"inputs": [image_input(shape=[])]},
        {"inputs": [image_input(datatype="INT8")]},
        {"inputs": [image_input(x=1)]},
        {"inputs": [image_input()], "id": 1},
        {"inputs": [image_input()], "parameters": {"a": []}},
        {"inputs": [image_input()], "outputs": [{}]},
    ],
)
def test_what_an_inference_request_cannot_be_is_not_described(service: Served, body: dict[str, Any]) -> None:
    assert not fits(body, schema_named("InferenceRequest"))
    assert service.client.post(INFER, json=body).status_code == 400


def with_fields(optional: Schema | None = None, /, **required: Schema) -> Schema:
    return {"type": "object", "required": list(required), "properties": {**required, **(optional or {})}}


TEXT: Schema = {"type": "string"}
OF_TENSOR: dict[str, Schema] = {
    "name": TEXT,
    "datatype": TEXT,
    "shape": {"type": "array", "items": {"type": "integer"}},
}
TENSORS: Schema = {"type": "array", "items": with_fields(**OF_TENSOR)}
DATA: Schema = {"type": "array", "items": {"type": ["number", "string", "boolean"]}}
OUTPUTS: Schema = {
    "type": "array",
    "items": with_fields({"parameters": {"type": "object"}}, **OF_TENSOR, data=DATA),
}


@pytest.mark.parametrize(
    ("path", "body", "schema"),
    [
        ("/v2", None, with_fields(name=TEXT, version=TEXT, extensions={"type": "array", "items": TEXT})),
        (MODEL, None, with_fields({"inputs": TENSORS, "outputs": TENSORS}, name=TEXT, platform=TEXT)),
        (f"{MODEL}/ready", None, with_fields(name=TEXT, ready={"type": "boolean"})),
        (
            INFER,
            {"inputs": [image_input()], "id": "42", "outputs": [{"name": "scores"}, {"name": "class_ids"}]},
            with_fields({"id": TEXT, "parameters": {"type": "object"}}, model_name=TEXT, outputs=OUTPUTS),
        ),
        (INFER, {"inputs": []}, with_fields(error=TEXT)),
        ("/v2/models/other", None, with_fields(error=TEXT)),
    ],
)
def test_the_answers_have_the_fields_and_types_of_the_protocols_own_document(
    service: Served, path: str, body: dict[str, Any] | None, schema: Schema
) -> None:
    """What is required by open_inference_rest.yaml of KServe's open-inference-protocol, version 2.0."""
    method = "GET" if body is None else "POST"
    answer = service.client.request(method, path, json=body).json()
    assert jsonschema_rs.Draft4Validator(schema).is_valid(answer), answer


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/health/live", "/health/ready"),
        *("/v2", "/v2/health/live", "/v2/health/ready", MODEL, f"{MODEL}/ready", f"{MODEL}/stats"),
        f"{MODEL}/config",
    ],
)
def test_what_is_told_of_the_service_fits_the_document(service: Served, path: str) -> None:
    response = service.client.get(path)
    answer = DOCUMENT["paths"][path]["get"]["responses"][str(response.status_code)]
    assert fits(response.json(), answer["content"][JSON]["schema"])


@pytest.mark.parametrize("path", PATHS)
def test_a_token_is_needed_where_the_document_says_so(tiny_model: Path, tmp_path: Path, path: str) -> None:
    file = tmp_path / "tokens.txt"
    file.write_text(VALID)
    document = describe_api(load_options({"token_file": str(file)}), [MODULE_NAME])
    assert document["components"]["securitySchemes"] == {"token": {"type": "http", "scheme": "bearer"}}
    assert "security" not in DOCUMENT
    [(method, operation)] = document["paths"][path].items()
    is_needed = operation.get("security", document["security"]) != []
    assert ("401" in operation["responses"]) is is_needed
    body: dict[str, Any] = {"content": image_file(0), "headers": {"Content-Type": "image/png"}}
    if path == INFER:
        body = {"json": {"inputs": [image_input()]}, "headers": {}}
    with served(tiny_model, token_file=str(file)) as service:
        response = service.client.request(method, path, **body)
        assert response.status_code == (401 if is_needed else 200)
        body["headers"]["Authorization"] = f"Bearer {VALID}"
        assert service.client.request(method, path, **body).status_code == 200


def test_models_are_changed_with_a_token_of_their_own() -> None:
    document = describe_api(CONTROL, [MODULE_NAME])
    operations = [
        operation
        for path, methods in document["paths"].items()
        for operation in methods.values()
        if path.startswith("/v2/repository/")
    ]
    assert [operation["security"] for operation in operations] == 3 * [[{"admin_token": []}]]
    assert document["components"]["securitySchemes"] == {"admin_token": {"type": "http", "scheme": "bearer"}}
    assert "security" not in document


def test_only_what_can_be_unavailable_is_described_so() -> None:
    unavailable = {path for path, _, operation in operations() if "503" in operation["responses"]}
    assert unavailable == {
        *(PREDICT_PATH, "/health/live", "/health/ready"),
        *(INFER, MODEL, f"{MODEL}/ready", f"{MODEL}/config", "/v2/health/live", "/v2/health/ready"),
    }


# Several models


def described_paths(document: Schema) -> set[str]:
    return set(document["paths"])


def test_the_addresses_of_the_only_model_are_written_out() -> None:
    assert {path for path in PATHS if "{" in path} == set()
    assert {path for path in described_paths(describe_api(ServerOptions(), ["rose"])) if "rose" in path} == {
        "/predict/rose",
        *(f"/v2/models/rose{what}" for what in ("", "/config", "/infer", "/ready", "/stats")),
    }


@pytest.mark.parametrize(("names", "values"), [(["rose", "lily"], {"enum": ["rose", "lily"]}), ([], {})])
def test_those_of_several_models_have_a_parameter(names: list[str], values: Schema) -> None:
    document = describe_api(CONTROL, names)
    written_out = described_paths(describe_api(CONTROL, ["rose"]))
    assert described_paths(document) == {path.replace("rose", "{name}") for path in written_out}
    for path, item in document["paths"].items():
        schema = {"type": "string", **values}
        parameter = {"name": "name", "in": "path", "required": True, "schema": schema}
        assert item.get("parameters") == ([parameter] if "{name}" in path else None), path


def test_the_server_describes_the_models_that_it_has(flowers: Path, tiny_model: Path) -> None:
    with served(repository=flowers) as service:
        document = service.client.get("/openapi.json").json()
        assert document["paths"]["/predict/{name}"]["parameters"][0]["schema"]["enum"] == ["lily", "rose"]
        put_model(flowers / "iris", tiny_model)
        service.call(service.changes.load, "iris")
        document = service.client.get("/openapi.json").json()
        assert document["paths"]["/predict/{name}"]["parameters"][0]["schema"]["enum"][-1] == "iris"


def test_what_is_told_of_several_models_fits_the_document(flowers: Path) -> None:
    put_broken(flowers / "iris")
    with served(repository=flowers, max_loaded_models=2) as service:
        front = DOCUMENT["paths"]["/"]["get"]["responses"]["200"]["content"][JSON]["schema"]
        assert fits(service.client.get("/").json(), front)
        for name, codes in (("iris", {503}), ("none", {404})):
            for method, place in (("post", PREDICT_PATH), ("post", INFER), ("get", MODEL)):
                response = service.client.request(
                    method, place.replace(MODULE_NAME, name), json={"inputs": [image_input()]}
                )
                assert {response.status_code} == codes
                answers = DOCUMENT["paths"][place][method]["responses"]
                content = answers[str(response.status_code)]["content"][JSON]
                assert fits(response.json(), content["schema"])


def test_that_models_are_changed_is_described_if_somebody_may(flowers: Path, control: dict[str, Any]) -> None:
    paths = described_paths(describe_api(CONTROL, ["rose"])) - described_paths(
        describe_api(ServerOptions(), ["rose"])
    )
    assert paths == {
        "/v2/repository/index",
        *(f"/v2/repository/models/rose/{change}" for change in ("load", "unload")),
    }
    document = describe_api(CONTROL, ["rose"])
    schemas = {name: plain(item) for name, item in document["components"]["schemas"].items()}
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    with served(models={"rose": flowers / "rose"}, **control) as service:
        index, load, unload = sorted(paths)
        for path, code, body in (
            *((index, 200, None), (index, 400, {"x": 1}), (unload, 200, {}), (index, 200, {"ready": False})),
            *((load, 200, None), (load, 400, {"parameters": {"config": "x"}})),
        ):
            response = service.client.post(path, headers=headers, json=body)
            assert response.status_code == code
            schema = document["paths"][path]["post"]["responses"][str(code)]["content"][JSON]["schema"]
            validator = jsonschema_rs.Draft4Validator(
                {"allOf": [plain(schema)], "components": {"schemas": schemas}}
            )
            assert validator.is_valid(response.json()), response.text
        put_broken(flowers / "rose")
        for path, code, sent in ((load, 409, headers), (load, 401, {})):
            response = service.client.post(path, headers=sent)
            assert response.status_code == code
            assert str(code) in document["paths"][path]["post"]["responses"]
