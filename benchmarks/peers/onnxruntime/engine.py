"""ONNX Runtime behind the interface of `clas.engine.paddle.Predictor`."""

from typing import Final

import numpy as np
import onnxruntime

from clas.engine.paddle import Batch, Scores, joined
from clas.model.files import ModelFiles
from clas.settings import Settings

MODEL_NAME: Final = "inference.onnx"
"""Beside the files of Paddle that it was converted from."""


class OnnxPredictor:
    """One loaded and warmed-up model; see `clas.engine.paddle.AnyPredictor`.

    Args:
        files: The model of Paddle that the ONNX model lies beside.
        settings: Read for cpu_num_threads and crop_size.
    """

    mkldnn = False

    def __init__(self, files: ModelFiles, settings: Settings) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.num_threads = settings.cpu_num_threads
        options.inter_op_num_threads = 1  # the network is a chain: there are no two operators to run at once
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = 3  # errors; as a warning it tells of a constant that nothing uses
        path = files.program.parent / MODEL_NAME
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name
        self.batch_size: int | None = None
        self.input_shape: tuple[int | None, ...] = (None, 3, settings.crop_size, settings.crop_size)
        self.num_classes = self.run(np.zeros([1, *self.input_shape[1:]], np.float32)).shape[1]

    def ensure_open(self) -> None:
        """Nothing to do: mosec starts its workers anew, it doesn't fork them."""

    def run(self, *parts: Batch) -> Scores:
        """[N, C, H, W] float32, in one part or several -> [N, classes] float32."""
        scores: Scores = self.session.run(None, {self.input: joined(parts)})[0]
        return scores
