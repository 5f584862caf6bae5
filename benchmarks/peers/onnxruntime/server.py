"""ONNX Runtime as the engine, served by mosec: the same server as ../mosec, with another engine in it."""

from peers import served
from peers.mosec import server

from clas.engine.onnxruntime import OnnxRuntimeEngine


class Predict(server.Predict):
    """Second stage, with ONNX Runtime."""

    def __init__(self) -> None:
        super(server.Predict, self).__init__()  # past that which loads Paddle's engine
        args = server.arguments()
        self.model = served.load_model(args.model_dir, args.threads, OnnxRuntimeEngine)


if __name__ == "__main__":
    server.serve(Predict)
