"""PaddleX's basic serving, by its own command line, with one repair.

What it serves is said by files that `peers.py` writes: a pipeline configuration, and a model directory with
an `inference.yml`. It has no batching and one process; predictions wait for each other in one thread (its own
default, PADDLE_PDX_SERVING_SERIAL_PIPELINE_CALLS).

As released, 3.7.2 answers every request to /image-classification with 500:

1. With `visualize` true, the default, it draws the label on the image with a font that it downloads. The
   pipeline configuration of `peers.py` says `visualize: false`; that is configuration, no repair.
2. The post-processing `Topk` returns the class ids as one array [images, k]. `BasePredictor.apply` hands out
   lists by image, but anything else whole, so `class_ids` of an image is [[657, ...]] instead of [657, ...],
   and the answer fails its own validation ("categories.0.id: Input should be a valid integer"). This is
   repaired below, by making it a list of arrays; nothing else is changed.
"""

import argparse
import logging
import os
import sys
from pathlib import Path
from typing import Any


def repair() -> None:
    """Return the class ids as a list, one array per image."""
    from paddlex.inference.models.image_classification import processors  # noqa: PLC0415

    original = processors.Topk.__call__

    def with_list(self: object, preds: object, topk: int = 5) -> tuple[list[Any], Any, Any]:
        class_ids, scores, label_names = original(self, preds, topk)
        return list(class_ids), scores, label_names

    processors.Topk.__call__ = with_list


def main() -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, required=True, help="on 127.0.0.1")
    parser.add_argument("--model_dir", type=Path, required=True, help="with inference.yml and pipeline.yml")
    parser.add_argument("--threads", type=int, default=0, help="of the predictor; 0: all cores (default)")
    args = parser.parse_args()
    # Read when PaddleX is imported. Its default is 10 threads, however many cores there are.
    os.environ["PADDLE_PDX_CPU_NUM_THREADS"] = str(args.threads or len(os.sched_getaffinity(0)))
    # It would ask the hubs of models which of them can be reached.
    os.environ["PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK"] = "True"
    os.chdir(args.model_dir)  # pipeline.yml says `model_dir: .`

    from paddlex.__main__ import console_entry  # noqa: PLC0415

    repair()
    logging.getLogger("uvicorn.access").addFilter(lambda _: False)  # there is no setting for it
    command = ["--serve", "--pipeline", "pipeline.yml", "--device", "cpu"]
    sys.argv = ["paddlex", *command, "--host", "127.0.0.1", "--port", str(args.port)]
    console_entry()


if __name__ == "__main__":
    main()
