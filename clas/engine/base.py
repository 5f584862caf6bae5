"""The contract between a model that runs and everything around it.

An engine computes; it knows no queue, no thread and no process of its own. `serving/batching` gives it those.
"""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from ..model.files import ModelFiles
from ..model.score_range import ScoreRange
from ..settings import Settings

Batch = npt.NDArray[np.float32]
"""[N, C, H, W], or [N, H, W, C] if the model takes that; C-contiguous."""
Scores = npt.NDArray[np.float32]
"""[N, num_outputs]."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EngineInfo:
    """What a loaded model takes and returns, and how it runs.

    Attributes:
        name: The engine's.
        version: That of the engine's library.
        format: The format of the model; see `ModelFiles.format`.
        input_shape: [N, C, H, W] or [N, H, W, C]; None where the model accepts any size.
        num_outputs: Scores per image.
        batch_limit: The most images of one call of `run`.
        concurrency: How many images can be under way at once, in as many calls of `run`.
        device: "CPU" or "GPU".
        mkldnn: Whether MKL-DNN (oneDNN) is in use.
        precision: "fp32", "bf16" or "fp16".
        num_threads: CPU threads of one call.
        input_dtype: numpy's name of the type that the model takes; if it is "uint8", a batch holds whole
            numbers from 0 to 255.
        input_name: The model's input.
        output_name: The model's output with the scores; of several that are joined the names, with commas.
        ignored_outputs: Its other outputs, each with its shape and type.
        scores: The range of the scores at the warm-up; None if they weren't looked at.
        declared_shape: The shape that the program declares, if its inference.yml has other sizes, which are
            those of `input_shape`; else empty.
    """

    name: str
    version: str
    format: str
    input_shape: tuple[int | None, ...]
    num_outputs: int
    batch_limit: int
    concurrency: int
    device: str
    mkldnn: bool
    precision: str
    num_threads: int
    input_dtype: str = "float32"
    input_name: str = ""
    output_name: str = ""
    ignored_outputs: tuple[str, ...] = ()
    scores: ScoreRange | None = None
    declared_shape: tuple[int | None, ...] = ()


class Engine(Protocol):
    """A loaded and warmed-up model.

    Attributes:
        name: The engine's name, which is also that of the library that it imports.
        formats: The formats of models that it reads; see `ModelFiles.format`.
        install: The command that installs the library.
        in_process: Whether a server may run it in its own process: it releases Python's global lock while it
            computes. The server gives any other engine a process of its own.
        info: What it takes and returns; after a fork of the process, `ensure_open` may change how it runs.
    """

    name: ClassVar[str]
    formats: ClassVar[Sequence[str]]
    install: ClassVar[str]
    in_process: ClassVar[bool]
    info: EngineInfo

    def ensure_open(self) -> None:
        """Reload the model if this process was forked since it was loaded.

        Raises:
            DeviceError: The process was forked, and the model is on a GPU.
            ModelLoadError: The model's files have changed.
        """

    def run(self, batch: Batch) -> Scores:
        """Compute the scores of a batch.

        Args:
            batch: float32, C-contiguous, of the shape that `info.input_shape` says; N from 1 to
                `info.batch_limit`.

        Returns:
            [N, num_outputs] float32, finite.

        Raises:
            PredictionError: The model failed.
        """


class EngineClass(Protocol):
    """A class of engines; see `Engine`."""

    @property
    def name(self) -> str:
        """See `Engine`."""

    @property
    def formats(self) -> Sequence[str]:
        """See `Engine`."""

    @property
    def install(self) -> str:
        """See `Engine`."""

    @property
    def in_process(self) -> bool:
        """See `Engine`."""

    def prepare_process(self) -> None:
        """Set up a process that will run nothing but this engine, before anything else is done in it."""

    def __call__(self, files: ModelFiles, settings: Settings, concurrency: int = 0, /) -> Engine:
        """Load a model.

        Args:
            files: The model.
            settings: Device and options.
            concurrency: How many images should be under way at once; 0 for the engine's choice.

        Raises:
            StartupError: It can't be loaded.
        """
