"""The application on Ray Serve: `serve run clas.serving.ray_app:app`, or serve_config.yaml.

Ray places, routes, scales and heals; each replica is what a single process of the standalone server is. Of
several models each is an application of its own, as in serve_models.yaml: Ray's proxies send a request to its
model directly, and change one application without touching the others.
"""

from collections.abc import Mapping
from typing import Any, Final

from ray import serve
from ray.serve import Application, Deployment
from starlette.middleware import Middleware

from ...protocol import MODULE_NAME
from .detour import DetourMiddleware
from .overview import OverviewReplica
from .plan import read_arguments
from .proxy import EnvelopeMiddleware
from .replica import Replica, build_front


def proxy_middlewares() -> list[Middleware]:
    """The middleware of Ray's proxies: RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH names this function."""
    return [Middleware(DetourMiddleware), Middleware(EnvelopeMiddleware)]  # the outermost last


# A request that waits in a replica can join a batch, so a replica accepts more than it computes at once;
# beyond both limits, requests get 503. serve_config.yaml repeats them, for people to change.
_DEPLOYMENT: Final[Deployment] = serve.deployment(
    name=MODULE_NAME,
    user_config={},
    max_ongoing_requests=64,
    max_queued_requests=256,
    health_check_period_s=5,
    health_check_timeout_s=15,
    graceful_shutdown_wait_loop_s=0.5,
    graceful_shutdown_timeout_s=30,
    ray_actor_options={"num_cpus": 1},
)(serve.ingress(build_front)(Replica))

_OVERVIEW: Final[Deployment] = serve.deployment(
    name="overview",
    user_config={},
    max_ongoing_requests=64,
    max_queued_requests=256,
    graceful_shutdown_wait_loop_s=0.5,
    graceful_shutdown_timeout_s=30,
    ray_actor_options={"num_cpus": 0},  # it waits for others
)(serve.ingress(build_front)(OverviewReplica))

app: Final[Application] = _DEPLOYMENT.bind()
"""A single model; its deployment takes all addresses."""
overview: Final[Application] = _OVERVIEW.bind()
"""What is said of several models at once; the `models` of its user_config are their names."""


def model(args: Mapping[str, Any]) -> Application:
    """Build the application of one of several models; Ray calls it with the `args` of the configuration.

    Args:
        args: As config.json, with one model in `modules_info`.

    Raises:
        SettingsError: They are invalid.
    """
    name, given = read_arguments(args)
    return _DEPLOYMENT.options(name=name).bind(name, given)
