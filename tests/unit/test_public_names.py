"""The list of what people have in their code, commands, configurations and dashboards.

Names may join it; one that leaves it breaks somebody's installation.
"""

import argparse
import ast
import configparser
import importlib
import inspect
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.routing import Match, Mount

import test_hubserving
from clas import preprocess
from clas.commandline import cli as commandline
from clas.errors import SettingsError
from clas.protocol import FIELDS, MODULE_NAME, OPERATIONS
from clas.serving import cli as serving_cli
from clas.serving.http.inference import VERSION_HEADER
from clas.serving.http.middleware import REQUEST_ID_HEADER
from clas.serving.launch import Launch, plan_launch
from clas.serving.metrics import Metrics, ModelFacts
from clas.serving.service import build_service
from clas_client.flags import add_flags
from clas_client.images import read_image
from served import served

PREPROCESS = (
    *("Array", "Image", "Operation"),
    *(
        "CenterCrop",
        "Compose",
        "CropAtRatio",
        "DecodeImage",
        "Normalize",
        "NormalizeToCHW",
        "Pad",
        "Resize",
        "ResizeShort",
        "ToCHW",
        "ToGray",
    ),
    *("create_transforms", "normalization", "reduced_size"),
)
MODULE_METHODS = {
    "predict": "self, inputs, top_k=None",
    "classification": "self, images=None, paths=None, batch_size=BATCH_SIZE, top_k=None",
    "run": "self, argv",
    "serving_method": "self, /, images=None, revert_params=None, preprocess=None, top_k=None, **extra",
}
COMMANDS = {"clas-client": "test_hubserving:main", "clas-serving": "clas.serving.__main__:main"}
SETTINGS = (
    *(
        "inference_model_dir",
        "model_key_file",
        "use_gpu",
        "gpu_mem",
        "enable_mkldnn",
        "cpu_num_threads",
        "precision",
        "ir_optim",
    ),
    *(
        "max_batch_size",
        "resize_short",
        "crop_size",
        "resize_size",
        "interpolation",
        "resize_backend",
        "mean",
    ),
    *("std", "scale", "max_image_pixels", "reduced_decode", "main_indicator", "topk", "threshold", "label_0"),
    *("label_1", "class_id_map_file", "allow_label_mismatch", "output_name", "softmax", "min_score"),
    *("default_label_index", "glasses_threshold", "hold_threshold", "color_threshold", "type_threshold"),
    *("source_threshold", "number_threshold", "clarity_threshold", "obstruction_threshold"),
    *("angle_threshold", "convert_cn", "groups", "decimal_places", "binarize_method", "feature_format"),
    "output_names",
)
OPTIONS = (
    *("host", "port", "use_multiprocess", "workers", "predictors", "gpu", "timeout_s", "graceful_timeout_s"),
    *("batch_wait_ms", "max_queue_images", "max_queue_bytes", "max_request_bytes", "max_requests"),
    *("token_file", "tls_cert_file", "tls_key_file", "log_format", "log_level", "log_file"),
    *("model_repository", "max_loaded_models", "model_control", "admin_token_file", "watch"),
)
CLIENT_FLAGS = (
    *(
        "server_url",
        "image_file",
        "image_path",
        "batch_size",
        "resize_short",
        "crop_size",
        "normalize",
        "to_chw",
    ),
    *(
        "preprocess",
        "wire",
        "concurrency",
        "reduced_decode",
        "timeout",
        "retries",
        "top_k",
        "output",
        "resume",
        "quiet",
    ),
    *("report", "label_file", "labels_from_folders", "metrics", "token_file"),
)
EVALUATION = ("label_file", "labels_from_folders", "metrics")
ADDRESSES = {
    **dict.fromkeys(("/predict/clas_system", "/predict/{name}"), "POST"),
    **dict.fromkeys(
        ("/", "/health/live", "/health/ready", "/metrics", "/openapi.json", "/docs", "/ui"), "GET"
    ),
    **dict.fromkeys(("/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/{name}"), "GET"),
    **dict.fromkeys((f"/v2/models/{{name}}/{what}" for what in ("config", "ready", "stats")), "GET"),
    "/v2/models/stats": "GET",
    "/v2/models/{name}/infer": "POST",
    "/v2/repository/index": "POST",
    **dict.fromkeys((f"/v2/repository/models/{{name}}/{what}" for what in ("load", "unload")), "POST"),
}
METRICS = {
    "clas_requests_total": "model path status",
    **dict.fromkeys(("clas_process_memory_bytes", "clas_unsent_bytes", "clas_process_restarts_total"), ""),
    **dict.fromkeys(("clas_images_total", "clas_queue_images", "clas_model_ready"), "model"),
    **dict.fromkeys(("clas_prepare_seconds_sum", "clas_compute_seconds_sum"), "model"),
    **dict.fromkeys(("clas_failed_request_seconds_sum", "clas_last_prediction_timestamp_seconds"), "model"),
    **dict.fromkeys(("clas_request_latency_seconds_bucket", "clas_queue_seconds_bucket"), "le model"),
    "clas_batch_size_bucket": "le model",
    "clas_model_loads_total": "model result",
    "clas_engine_info": "device format model name precision version",
}
"""Name -> its labels."""
FRONT_PAGE = (
    *("name", "version", "state", "model", "workers", "predictors", "limits", "predict", "models"),
    *("docs", "ui"),
)
OF_EACH_MODEL = ("name", "state", "reason", "version", "predict", "predictors", "model")


def flags_of(parser: argparse.ArgumentParser) -> set[str]:
    return {option for action in parser._actions for option in action.option_strings}


def as_flags(*names: str) -> set[str]:
    return {f"--{name}" for name in names}


def signature(function: ast.FunctionDef) -> str:
    """The parameters of a function without their types."""
    for arg in ast.walk(function.args):
        if isinstance(arg, ast.arg):
            arg.annotation = None
    return ast.unparse(function.args)


def top_level_names(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names


@pytest.mark.parametrize("name", PREPROCESS)
def test_what_people_import_for_their_own_preprocessing(name: str) -> None:
    assert getattr(preprocess, name)
    assert name in preprocess.__all__


def test_what_people_import_to_send_images_themselves() -> None:
    assert list(inspect.signature(read_image).parameters) == ["path", "reduce_to"]


def test_the_function_that_people_change_in_the_client() -> None:
    assert list(test_hubserving.make_preprocess.__annotations__) == ["args", "return"]


def test_the_import_paths_in_configurations_of_ray(repository: Path) -> None:
    """Read, since Ray is not installed everywhere."""
    serving = repository / "clas" / "serving"
    names = {"app", "model", "overview", "proxy_middlewares"}
    assert names <= top_level_names(serving / "ray_app.py")
    assert names <= top_level_names(serving / "on_ray" / "app.py")
    assert "import_path: clas.serving.ray_app:app" in (repository / "serve_config.yaml").read_text()


def test_the_methods_of_the_module(repository: Path) -> None:
    """Read, since PaddleHub takes seconds to import."""
    tree = ast.parse((repository / "clas" / "module.py").read_text(encoding="utf-8"))
    [module] = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "ClasSystem"]
    methods = {node.name: signature(node) for node in module.body if isinstance(node, ast.FunctionDef)}
    assert {name: methods.get(name) for name in MODULE_METHODS} == MODULE_METHODS
    assert methods["__init__"] == "self, /, **init_args"


def test_the_installed_commands(repository: Path) -> None:
    setup = configparser.ConfigParser()
    setup.read(repository / "setup.cfg")
    lines = setup["options.entry_points"]["console_scripts"].strip().splitlines()
    assert COMMANDS.items() <= dict(line.split(" = ") for line in lines).items()
    for place in COMMANDS.values():
        module, _, name = place.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_the_flags_of_the_client() -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    assert as_flags(*CLIENT_FLAGS) <= flags_of(parser)


def test_the_flags_of_python_m_clas() -> None:
    importlib.import_module("clas.__main__")
    own = as_flags("top_k", "topk", "use_gpu", "format", "report", "verbose", *EVALUATION)
    assert own | as_flags(*SETTINGS) <= flags_of(commandline._parser())
    assert as_flags("input_path", "top_k", "batch_size") <= flags_of(commandline._hub_parser())  # of hub run


def test_the_flags_of_the_server() -> None:
    [commands] = [action for action in serving_cli._parser()._actions if isinstance(action.choices, dict)]
    parsers: Any = commands.choices
    short = {"-c", "-m", "-p", "-w", "-i"}
    assert {*as_flags(*OPTIONS, *SETTINGS, "config", "modules", "model"), *short} <= flags_of(
        parsers["start"]
    )
    for command in ("stop", "status", "reload"):
        assert {"--port", "-p", "--host"} <= flags_of(parsers[command])


def launch_of(directory: Path, **content: object) -> Launch:
    file = directory / "config.json"
    file.write_text(json.dumps({"modules_info": {"clas_system": {}}, **content}))
    return plan_launch({"config": str(file)})


def test_the_keys_of_config_json(tmp_path: Path) -> None:
    everything = dict.fromkeys(OPTIONS)
    init_args = {"version": "1.0.0", "topk": 3, "use_gpu": False}
    module = {"init_args": init_args, "predict_args": {"top_k": 2}}
    launch = launch_of(tmp_path, modules_info={"clas_system": module}, use_gpu=False, **everything)
    assert launch.models[MODULE_NAME].topk == 2
    for name in SETTINGS:  # a name that is gone would be reported as unknown
        with pytest.raises(SettingsError, match=rf"^{name} is |^{name} "):
            launch_of(tmp_path, modules_info={"clas_system": {"init_args": {name: {}}}})


def test_the_fields_of_a_request() -> None:
    assert {"images", "revert_params", "preprocess", "top_k"} <= set(FIELDS)
    assert OPERATIONS[:2] == ("normalize", "to_chw")


def test_the_addresses_of_the_server(tmp_path: Path) -> None:
    routes = build_service(launch_of(tmp_path)).app.routes
    for path, method in ADDRESSES.items():
        scope = {"type": "http", "path": path.format(name="rose"), "method": method}
        assert any(route.matches(scope)[0] is Match.FULL for route in routes), path
    mounts = {route.path for route in routes if isinstance(route, Mount)}
    assert {"/docs/assets", "/ui/assets"} <= mounts


def test_the_names_of_the_metrics() -> None:
    metrics = Metrics(0)
    metrics.requests.labels("/", "200", "").inc()
    metrics.of_model("rose").count_load(is_success=True)
    engine: Any = SimpleNamespace(
        name="paddle", version="3", device="CPU", precision="fp32", format="pdmodel"
    )
    text = metrics.exposition([ModelFacts("rose", True, engine)]).decode()
    shown = {
        sample.name: " ".join(sorted(sample.labels))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert METRICS.items() <= shown.items()
    assert 'clas_requests_total{model="",path="/",status="200"} 1.0' in text.splitlines()


def test_the_fields_of_the_front_page(tiny_model: Path) -> None:
    with served(tiny_model) as service:
        front = service.client.get("/").json()
    assert set(FRONT_PAGE) <= front.keys()
    assert set(OF_EACH_MODEL) <= front["models"][0].keys()


def test_the_headers_of_an_answer() -> None:
    assert (REQUEST_ID_HEADER, VERSION_HEADER) == ("X-Request-ID", "X-Model-Version")
