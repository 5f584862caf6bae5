"""The import path of the deployments in people's configurations: `clas.serving.ray_app:app`."""

from .on_ray.app import app, model, overview, proxy_middlewares
from .on_ray.replica import Front, Replica

__all__ = ["Front", "Replica", "app", "model", "overview", "proxy_middlewares"]
