"""How a process loads a model."""

from typing import NamedTuple

from ...settings import Settings


class ModelPlan(NamedTuple):
    """How a process loads a model.

    Attributes:
        settings: What to load, and how to run it.
        predictor_threads: CPU threads of each predictor; see `Pool`.
    """

    settings: Settings
    predictor_threads: tuple[int, ...] = (0,)
