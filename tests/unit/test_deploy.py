"""What users copy or apply to deploy the server is valid, and what it names exists."""

import configparser
import dataclasses
import json
import re
import shutil
import statistics
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from clas.model.files import find_model
from clas.protocol import MODULE_NAME, VERSION
from clas.serving import cli, ray_app
from clas.serving.launch import plan_in_process
from clas.serving.metrics import Metrics
from clas.serving.on_ray.plan import plan_overview, read_arguments
from clas.serving.on_ray.serve_file import make_serve_file
from clas.serving.options import ServerOptions
from clas.serving.process.listener import ALL


@pytest.fixture(scope="module")
def standalone(repository: Path) -> dict[str, Any]:
    """The manifests of the standalone server, by kind."""
    text = (repository / "deploy" / "kubernetes" / "standalone.yaml").read_text()
    return {manifest["kind"]: manifest for manifest in yaml.safe_load_all(text)}


@pytest.fixture(scope="module")
def container(standalone: dict[str, Any]) -> dict[str, Any]:
    [found] = standalone["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def ray_service(repository: Path) -> Any:
    return yaml.safe_load((repository / "deploy" / "kubernetes" / "rayservice.yaml").read_text())


@pytest.fixture(scope="module")
def serve_config(repository: Path) -> Any:
    return yaml.safe_load((repository / "serve_config.yaml").read_text())


@pytest.fixture(scope="module")
def serve_models(repository: Path) -> Any:
    return yaml.safe_load((repository / "serve_models.yaml").read_text())


@pytest.fixture(scope="module")
def predictor(repository: Path) -> dict[str, Any]:
    """The predictor of the InferenceService of KServe."""
    service = yaml.safe_load((repository / "deploy" / "kubernetes" / "kserve.yaml").read_text())
    assert (service["apiVersion"], service["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    assert service["spec"].keys() == {"predictor"}
    found: dict[str, Any] = service["spec"]["predictor"]
    return found


def paths(repository: Path) -> set[str]:
    """Where the application has a route."""
    files = ("app.py", "open_inference/endpoints.py")
    texts = [(repository / "clas/serving/http" / file).read_text() for file in files]
    return {path for text in texts for path in re.findall(r'Route\("(/[\w/.]*)"', text)}


@pytest.mark.parametrize("kind", ["Deployment", "Service", "HorizontalPodAutoscaler"])
def test_the_manifests_fit_the_schemas_of_kubernetes(standalone: dict[str, Any], kind: str) -> None:
    kubernetes_validate.validate(standalone[kind], kubernetes_validate.latest_version(), strict=True)


def test_a_slip_in_a_manifest_would_be_seen(standalone: dict[str, Any]) -> None:
    service = standalone["Service"]
    wrong = {**service, "spec": {**service["spec"], "port": 8866}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, kubernetes_validate.latest_version(), strict=True)


def test_kuberays_pods_fit_the_schema_of_kubernetes(ray_service: Any) -> None:
    """The schema of a RayService itself is in no package that could be had."""
    cluster = ray_service["spec"]["rayClusterConfig"]
    for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, **group["template"]}
        kubernetes_validate.validate(pod, kubernetes_validate.latest_version(), strict=True)


def test_the_pods_probes_ask_routes_at_the_servers_port(container: dict[str, Any], repository: Path) -> None:
    [port] = container["ports"]
    assert port["containerPort"] == ServerOptions.port
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")}
    assert {probe["port"] for probe in probes.values()} == {port["name"]}
    assert {name: probe["path"] for name, probe in probes.items()} == {
        "startup": "/health/ready",
        "readiness": "/health/ready",
        "liveness": "/health/live",
    }
    assert {probe["path"] for probe in probes.values()} <= paths(repository)


def test_the_pods_flags_exist_and_it_has_time_to_stop(
    standalone: dict[str, Any], container: dict[str, Any]
) -> None:
    args = cli._parser().parse_args(["start", "-m", "clas_system", *container["args"]])
    before_stop_s = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    pod = standalone["Deployment"]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > before_stop_s + args.graceful_timeout_s
    assert container["resources"]["limits"]["cpu"] == str(args.predictors)
    assert container["image"].endswith(f":{VERSION}")


def test_service_and_autoscaler_find_the_pods(standalone: dict[str, Any], container: dict[str, Any]) -> None:
    deployment, service = standalone["Deployment"], standalone["Service"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"] == labels
    [port] = service["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (ServerOptions.port, container["ports"][0]["name"])
    target = standalone["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert target == {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment["metadata"]["name"]}


def test_kserves_predictor_is_a_pod_that_the_schema_of_kubernetes_takes(predictor: dict[str, Any]) -> None:
    """The schema of an InferenceService is in no package that could be had; it adds this to a pod."""
    added = {"minReplicas", "maxReplicas", "scaleMetric", "scaleTarget"}
    spec = {name: value for name, value in predictor.items() if name not in added}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec}
    kubernetes_validate.validate(pod, kubernetes_validate.latest_version(), strict=True)
    assert 1 <= predictor["minReplicas"] <= predictor["maxReplicas"]


def test_kserves_container_speaks_its_protocol_and_is_asked_at_its_addresses(
    predictor: dict[str, Any], container: dict[str, Any], repository: Path
) -> None:
    [kserves] = predictor["containers"]
    assert kserves["name"] == "kserve-container"
    assert {"name": "PROTOCOL", "value": "v2"} in kserves["env"]
    [port] = kserves["ports"]
    probes = [kserves[name]["httpGet"] for name in ("readinessProbe", "livenessProbe")]
    assert [probe["path"] for probe in probes] == ["/v2/health/ready", "/v2/health/live"]
    assert {probe["path"] for probe in probes} <= paths(repository)
    assert {port["containerPort"], *(probe["port"] for probe in probes)} == {ServerOptions.port}
    args = cli._parser().parse_args(["start", "-m", "clas_system", *kserves["args"]])
    assert kserves["resources"] == container["resources"]
    assert kserves["resources"]["limits"]["cpu"] == str(args.predictors)
    assert args.graceful_timeout_s < 30  # what Kubernetes gives a pod to stop
    assert kserves["image"] == container["image"]


def test_rays_configuration_fits_its_schema_and_names_what_exists(serve_config: Any) -> None:
    schema = ServeDeploySchema.model_validate(serve_config)
    [application] = schema.applications
    [deployment] = application.deployments
    module, name = application.import_path.split(":")
    assert (module, deployment.name) == (ray_app.__name__, getattr(ray_app, name)._bound_deployment.name)
    assert schema.http_options.port == ServerOptions.port
    assert application.route_prefix == "/"


def test_rays_configuration_holds_the_services_own_defaults(serve_config: Any) -> None:
    plan = plan_in_process(serve_config["applications"][0]["deployments"][0]["user_config"], "user_config")
    nothing = plan_in_process({}, "user_config")
    assert plan.options == nothing.options
    [[name, settings]] = plan.models.items()
    assert name == MODULE_NAME
    assert settings == dataclasses.replace(nothing.models[name], overridden=settings.overridden)
    assert settings.overridden <= {"use_gpu"}  # else, it would beat a model's inference.yml
    assert serve_config["http_options"]["request_timeout_s"] > plan.options.timeout_s


def test_rays_configuration_of_several_models_has_an_application_for_each(
    serve_models: Any, serve_config: Any
) -> None:
    schema = ServeDeploySchema.model_validate(serve_models)
    assert serve_models["http_options"] == serve_config["http_options"]
    overview, *applications = schema.applications
    assert (overview.route_prefix, overview.import_path) == ("/", f"{ray_app.__name__}:overview")
    [deployment] = overview.deployments
    assert deployment.name == ray_app.overview._bound_deployment.name
    names, launch = plan_overview(deployment.user_config or {})
    assert names == [application.name for application in applications]
    assert launch.options == ServerOptions()
    assert len(applications) == 2
    for application in applications:
        [deployment] = application.deployments
        name, given = read_arguments(application.args)
        assert application.import_path == f"{ray_app.__name__}:model"
        assert application.route_prefix == f"/predict/{name}"
        assert {name, deployment.name, ray_app.model(application.args)._bound_deployment.name} == {
            application.name
        }
        user_config = deployment.user_config if isinstance(deployment.user_config, dict) else {}
        plan = plan_in_process({**given, **user_config}, "user_config", name)
        assert plan.options == ServerOptions()
        assert serve_models["http_options"]["request_timeout_s"] > plan.options.timeout_s


def test_the_standalone_servers_configuration_gives_the_same_applications(
    serve_models: Any, repository: Path
) -> None:
    made = make_serve_file(repository / "deploy" / "several_models.json").content
    for ours, theirs in zip(serve_models["applications"], made["applications"], strict=True):
        assert {key: ours[key] for key in ("name", "route_prefix", "import_path")}.items() <= theirs.items()
        assert ours["deployments"][0]["name"] == theirs["deployments"][0]["name"]
        assert ours.get("args", {}).get("modules_info") == theirs.get("args", {}).get("modules_info")
    [overview, *_] = made["applications"]
    listed = serve_models["applications"][0]["deployments"][0]["user_config"]
    assert listed.items() <= overview["deployments"][0]["user_config"].items()


def test_rays_configuration_finds_the_model_beside_the_code_from_any_directory(
    serve_config: Any, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = plan_in_process(serve_config["applications"][0]["deployments"][0]["user_config"], "user_config")
    code = tmp_path / "clas"
    shutil.copytree(tiny_model, code / "inference")
    assert find_model(plan.models[MODULE_NAME], code)[0].program.parent == code / "inference"


def test_kuberay_gets_the_same_configuration_and_the_pinned_ray(
    ray_service: Any, serve_config: Any, repository: Path
) -> None:
    assert yaml.safe_load(ray_service["spec"]["serveConfigV2"]) == serve_config
    cluster = ray_service["spec"]["rayClusterConfig"]
    pinned = (repository / "constraints" / "ray.txt").read_text()
    assert f"ray=={cluster['rayVersion']}\n" in pinned


def test_kuberays_nodes_have_the_port_the_hook_and_room_for_a_replica(
    ray_service: Any, serve_config: Any
) -> None:
    cluster = ray_service["spec"]["rayClusterConfig"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        [container] = group["template"]["spec"]["containers"]
        assert serve_config["http_options"]["port"] in [one["containerPort"] for one in container["ports"]]
        env = {one["name"]: one["value"] for one in container["env"]}
        hook = env["RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"]
        module, name = hook.split(":")
        assert (module, bool(getattr(ray_app, name)())) == (ray_app.__name__, True)
        assert env["RAY_USAGE_STATS_ENABLED"] == "0"
    replica = serve_config["applications"][0]["deployments"][0]["ray_actor_options"]
    assert float(container["resources"]["limits"]["cpu"]) > replica["num_cpus"]


def test_every_metric_has_a_name_that_ray_takes() -> None:
    metrics = Metrics()
    metrics.of_model("rose").count_load(is_success=True)
    metrics.requests.labels("/", "200", "").inc()
    samples = [sample for family in metrics.registry.collect() for sample in family.samples]
    names = [name for sample in samples for name in (sample.name, *sample.labels)]
    assert {"clas_images_total", "clas_model_loads_total", "clas_requests_total", "model"} <= set(names)
    assert all(re.fullmatch(r"[a-zA-Z_]\w*", name) for name in names)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_table_on_ray_holds_the_medians_of_what_was_measured(repository: Path, language: str) -> None:
    rows = json.loads((repository / "benchmarks" / "ray_serve.json").read_text())
    lines = [
        [cell.strip() for cell in line.split("|")]
        for line in (repository / "docs" / language / "ray.md").read_text(encoding="utf-8").splitlines()
        if re.match(r"\| [^|]+ \| (float32|uint8|encoded) \|", line)
    ]
    servers = list(dict.fromkeys(row["name"] for row in rows))
    assert len(lines) == 3 * len(servers)
    for number, (_, _, form, *cells) in enumerate(lines):
        same = [row for row in rows if (row["name"], row["form"]) == (servers[number // 3], form)]
        assert cells[0] == f"{statistics.median(row['images_per_s'] for row in same):.1f}"
        assert cells[5] == f"{statistics.median(row['proxy_cpu_ms'] for row in same):.2f}"


def test_the_systemd_unit_starts_the_server_with_its_file_and_lets_it_stop_in_time(repository: Path) -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(repository / "deploy" / "systemd" / "clas-serving.service")
    service = unit["Service"]
    program, *arguments = service["ExecStart"].split()
    assert Path(program).name == "clas-serving"
    args = cli._parser().parse_args(arguments)
    assert (repository / "deploy" / Path(args.config).name).is_file()
    assert Path(args.config).parent == Path(service["WorkingDirectory"])
    options = json.loads((repository / "deploy" / Path(args.config).name).read_text())
    wait_s = options.get("graceful_timeout_s", ServerOptions.graceful_timeout_s)
    assert int(service["TimeoutStopSec"]) > wait_s


@pytest.fixture
def dockerfile(repository: Path) -> str:
    return (repository / "Dockerfile").read_text()


def test_the_container_runs_as_a_user_that_kubernetes_can_tell_from_root(
    dockerfile: str, container: dict[str, Any], predictor: dict[str, Any]
) -> None:
    [user] = re.findall(r"^USER (.+)$", dockerfile, re.MULTILINE)
    assert int(user) > 0  # of a name it doesn't know
    assert f"useradd --no-create-home --uid {user} " in dockerfile
    for one in (container, predictor["containers"][0]):
        assert one["securityContext"]["runAsNonRoot"]


def test_the_containers_health_check_and_entry_point_are_commands_of_the_server(dockerfile: str) -> None:
    found = re.findall(r"^(?:HEALTHCHECK .*CMD|ENTRYPOINT) (.+)$", dockerfile, re.MULTILINE)
    commands = [json.loads(command) for command in found]
    assert [command[:3] for command in commands] == [["python", "-m", "clas.serving"]] * 2
    asking, starting = (cli._parser().parse_args(command[3:]) for command in commands)
    assert asking.command == "health"
    assert (starting.command, starting.host) == ("start", ALL)
    # `health` looks where `start` has left its file: both have the variable, and the user may write there.
    assert re.findall(r"^ENV XDG_STATE_HOME=(.+)$", dockerfile, re.MULTILINE) == ["/tmp"]  # noqa: S108


def test_the_service_has_addresses_of_both_versions_where_the_cluster_has(standalone: dict[str, Any]) -> None:
    assert standalone["Service"]["spec"]["ipFamilyPolicy"] == "PreferDualStack"


@pytest.mark.parametrize("set_name", ["serving", "serving-paddle"])
def test_the_dockerfile_copies_what_the_build_gets(dockerfile: str, repository: Path, set_name: str) -> None:
    kept = (repository / ".dockerignore").read_text().splitlines()
    sources = re.findall(r"^COPY (\S+)", dockerfile, re.MULTILINE)
    assert sources
    for variable in sources:
        source = variable.replace("${SERVING_SET}", set_name)
        assert (repository / source).exists(), source
        assert f"!{source}" in kept


def test_the_image_has_the_small_set_and_can_have_the_ones_that_the_manual_names(
    dockerfile: str, repository: Path
) -> None:
    assert "ARG SERVING_SET=serving\n" in dockerfile
    for language in ("en", "zh"):
        text = (repository / "docs" / language / "deploy.md").read_text(encoding="utf-8")
        assert set(re.findall(r"--build-arg SERVING_SET=(\S+)", text)) == {"serving-paddle"}
