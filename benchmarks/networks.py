"""Three more networks, with random weights: what is measured on them is time, not what they recognise.

Two are Paddle's own; the third is a vision transformer of the size of DeiT-small.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import numpy as np
from repository import ROOT

NETWORKS: Final = ("mobilenet_v3_small", "resnet50", "vit_small")

_DIRECTORY: Final = ROOT / "build" / "bench" / "networks"
_CLASSES: Final = 1000
_LEADER: Final = 7
_LEAD: Final = 1e6


def network_folder(name: str) -> Path:
    """Where `export` puts a network."""
    return _DIRECTORY / name


def export(name: str) -> None:
    """Export a network of NETWORKS as inference.pdmodel, unless that has been done."""
    directory = network_folder(name)
    if not (directory / "inference.pdmodel").is_file():
        env = {**os.environ, "GLOG_minloglevel": "2"}
        command = [sys.executable, "-W", "ignore", __file__, name, str(directory)]
        subprocess.run(command, check=True, env=env, stdout=subprocess.DEVNULL)


def _write(name: str, directory: Path) -> None:
    import paddle  # noqa: PLC0415  # only in the process that exports
    from paddle.pir_utils import OldIrGuard  # noqa: PLC0415
    from paddle.vision import models  # noqa: PLC0415
    from vision_transformer import VisionTransformer  # noqa: PLC0415

    paddle.enable_static()
    static = paddle.static
    with OldIrGuard():
        main, startup = static.Program(), static.Program()
        main.random_seed = startup.random_seed = 1
        with static.program_guard(main, startup):
            image = static.data("x", [None, 3, 224, 224], "float32")
            networks = {"vit_small": VisionTransformer, "resnet50": models.resnet50}
            network = networks.get(name, models.mobilenet_v3_small)(num_classes=_CLASSES)
            network.eval()
            # One class leads whatever the image is, so that no rounding exchanges the first two.
            lead = paddle.assign(np.eye(1, _CLASSES, _LEADER, np.float32) * _LEAD)
            scores = paddle.nn.functional.softmax(network(image) + lead)
        executor = static.Executor(paddle.CPUPlace())
        executor.run(startup)
        directory.mkdir(parents=True, exist_ok=True)
        static.save_inference_model(str(directory / "inference"), [image], [scores], executor, program=main)


if __name__ == "__main__":
    _write(sys.argv[1], Path(sys.argv[2]))
