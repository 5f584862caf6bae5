"""ONNX Runtime as the engine, served by mosec: the same server as ../mosec, with another predictor in it."""

from peers import served
from peers.mosec import server
from peers.onnxruntime.engine import OnnxPredictor


class Predict(server.Predict):
    """Second stage, with ONNX Runtime."""

    def __init__(self) -> None:
        super(server.Predict, self).__init__()  # past that which loads Paddle's predictor
        args = server.arguments()
        self.classifier = served.load_classifier(args.model_dir, args.threads, OnnxPredictor)


if __name__ == "__main__":
    server.serve(Predict)
