"""The import path of the deployment in people's configurations: `clas.serving.ray_app:app`."""

from .on_ray.app import Front, Replica, app, proxy_middlewares

__all__ = ["Front", "Replica", "app", "proxy_middlewares"]
