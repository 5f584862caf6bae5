from typing import Any

import pytest

from clas.errors import SettingsError
from clas.serving.on_ray.app import app, model, overview, proxy_middlewares
from clas.serving.on_ray.detour import DetourMiddleware
from clas.serving.on_ray.proxy import EnvelopeMiddleware


def deployment(application: Any) -> Any:
    return application._bound_deployment


def test_the_deployment_of_a_model_has_its_name_and_is_like_that_of_a_single_one() -> None:
    args = {"modules_info": {"flowers": {"init_args": {"inference_model_dir": "/m"}}}, "timeout_s": 5.0}
    built, single = deployment(model(args)), deployment(app)
    assert (built.name, single.name) == ("flowers", "clas_system")
    assert built.init_args == ("flowers", {"inference_model_dir": "/m", "timeout_s": 5.0})
    assert single.init_args == ()
    assert built.func_or_class is single.func_or_class
    for option in ("max_ongoing_requests", "max_queued_requests", "user_config", "ray_actor_options"):
        assert getattr(built, option) == getattr(single, option)


def test_arguments_that_are_invalid_are_refused_before_a_replica_starts() -> None:
    with pytest.raises(SettingsError, match="modules_info in args names nothing"):
        model({})


def test_the_overview_takes_no_core_from_a_model() -> None:
    assert deployment(overview).name == "overview"
    assert deployment(overview).ray_actor_options["num_cpus"] == 0


def test_what_ray_refuses_is_put_into_the_envelope_wherever_it_was_sent() -> None:
    """The last one is the outermost, which sees the path that the client has asked for."""
    classes: list[object] = [one.cls for one in proxy_middlewares()]
    assert classes == [DetourMiddleware, EnvelopeMiddleware]
