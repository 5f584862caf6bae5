"""ONNX Runtime behind the interface of `clas.engine.base.Engine`."""

from collections.abc import Sequence
from typing import ClassVar, Final

import numpy as np
import onnxruntime

from clas.engine.base import Batch, EngineInfo, Scores
from clas.model.files import ModelFiles
from clas.settings import Settings

MODEL_NAME: Final = "inference.onnx"
"""Beside the files of Paddle that it was converted from."""


class OnnxEngine:
    """A loaded and warmed-up model; see `clas.engine.base.Engine`.

    Args:
        files: The model of Paddle that the ONNX model lies beside.
        settings: Read for cpu_num_threads, crop_size and max_batch_size.

    Attributes:
        in_process: False: the peers give it a process of its own, as Paddle's.
        info: What the model takes and returns, and how it runs.
    """

    name: ClassVar[str] = "onnxruntime"
    formats: ClassVar[Sequence[str]] = ("onnx",)
    install: ClassVar[str] = "pip install onnxruntime"
    in_process: ClassVar[bool] = False

    @staticmethod
    def prepare_process() -> None:
        """Nothing to set up."""

    def __init__(self, files: ModelFiles, settings: Settings, _: int = 0) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = settings.cpu_num_threads
        options.inter_op_num_threads = 1  # the network is a chain: there are no two operators to run at once
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = 3  # errors; as a warning it tells of a constant that nothing uses
        path = files.program.parent / MODEL_NAME
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name
        shape = (3, settings.crop_size, settings.crop_size)
        self.info = EngineInfo(
            name=self.name,
            version=onnxruntime.__version__,
            format="onnx",
            input_shape=(None, *shape),
            num_outputs=self.run(np.zeros((1, *shape), np.float32)).shape[1],
            batch_limit=settings.batch_limit,
            concurrency=1,
            device="CPU",
            mkldnn=False,
            precision="fp32",
            num_threads=settings.cpu_num_threads,
        )

    def ensure_open(self) -> None:
        """Nothing to do: mosec starts its workers anew, it doesn't fork them."""

    def run(self, batch: Batch) -> Scores:
        """[N, C, H, W] float32 -> [N, classes] float32."""
        scores: Scores = self.session.run(None, {self.input: batch})[0]
        return scores
