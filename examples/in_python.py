"""Classification in Python without a server: the cells of a notebook, or a script in the repository's root.

    python examples/in_python.py [FOLDER_OF_THE_MODEL]

It takes the environment of a server, Pillow, and the photographs that `make demo` leaves.
"""

# %% Load a model: once, it takes a second. Settings of params.py may be given, such as use_gpu=True.
import logging
import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from clas.classifier import Classifier

logging.basicConfig(level=logging.WARNING)  # INFO shows what is loaded, and how it runs
classifier = Classifier.open(sys.argv[1] if len(sys.argv) > 1 else "clas/inference", topk=3)
model = classifier.describe()
print(f"{model['name']}: {model['classes']} classes, with {model['engine']} on the {model['device']}")

# %% Classify files; one that can't be read doesn't fail the others.
photographs = sorted(Path("build/demo/images").iterdir())
for path, result in zip(photographs, classifier.classify_files(photographs), strict=True):
    if "error" in result:
        print(f"{path.name}: {result['error']}")
        continue
    for name, score in zip(result["label_names"] or result["class_ids"], result["scores"], strict=True):
        print(f"{path.name}: {score:.2%} {name}")

# %% The same image in any form: a name, the bytes of a file, Pillow's, an array (RGB), or OpenCV's (BGR).
path = photographs[0]
pillows = Image.open(path)
forms = [str(path), path.read_bytes(), pillows, np.asarray(pillows.convert("RGB"))]
results = classifier.classify_files(forms)
results += classifier.classify_files(cv2.imread(str(path)), channels="BGR")
print(f"the best class in {len(results)} forms: {[result['class_ids'][0] for result in results]}")

# %% A grey image becomes one of three equal channels, and top_k may be given for each call.
grey = np.asarray(pillows.convert("L"))
[result] = classifier.classify_files(grey, top_k=1)
print(f"in grey {list(grey.shape)}: {result['class_ids']} {result['scores']}")
