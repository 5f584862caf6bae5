"""The knobs of the service: edit a value, then `hub uninstall clas_system` and `hub install clas/` again.

Every key can also be given for one start only, in `init_args` of config.json, where it beats this file.
"""

PARAMS: dict[str, dict[str, object]] = {
    "Global": {
        # Directory with inference.pdmodel + inference.pdiparams (or inference.json + inference.pdiparams).
        # A relative path starts where the service is started; if nothing is there, the folder inference/
        # beside this file is used.
        "inference_model_dir": "../inference/",
        "use_gpu": False,
        "gpu_mem": 8000,  # MB reserved on the GPU at start
        "enable_mkldnn": True,  # fast on the CPU; ignored with use_gpu
        "cpu_num_threads": 0,  # 0: all cores this process may use; a worker of --use_multiprocess uses 1
        # "bf16": faster on CPUs with AVX512-BF16 or AMX, with scores that differ in the second or third
        # decimal; other CPUs refuse it at start.
        "precision": "fp32",
        "ir_optim": True,  # Paddle's graph optimisation
        # Images that go through the model at once; larger requests run in pieces. 0: 4 on the CPU, where more
        # at once is no faster for each image, and 32 on a GPU.
        "max_batch_size": 0,
    },
    # What the server does to encoded images, and what the client does by default. An inference.yml beside the
    # model beats what stands here.
    "PreProcess": {
        "resize_short": 256,  # pixels
        "crop_size": 224,  # pixels
        # [width, height], whatever the proportions: takes the place of resize_short and crop_size.
        "resize_size": [],
        "interpolation": "bilinear",  # or nearest, bicubic, lanczos; with cv2 area; with pil box, hamming
        "resize_backend": "cv2",  # or "pil": Pillow, which averages where it makes smaller
        # (pixel * scale - mean) / std, of R, G, B. Here ImageNet's.
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "scale": 1 / 255,
        "max_image_pixels": 89_478_485,  # width x height of one encoded image; larger ones are refused
        # Decode large JPEGs at 1/2, 1/4 or 1/8, down to twice resize_short: faster, with scores that differ
        # a little.
        "reduced_decode": False,
    },
    # Beaten by an inference.yml, too.
    "PostProcess": {
        # "Topk"; "ThreshOutput" for two classes: yes if the score of the second reaches the threshold;
        # "MultiLabelThreshOutput" for several labels at once: all that reach the threshold.
        "main_indicator": "Topk",
        "topk": 5,
        "threshold": 0.5,  # 0 to 1; not with Topk
        "label_0": "0",  # names of the two classes, with ThreshOutput only
        "label_1": "1",
        # "<id> <name>" a line, UTF-8; looked for where the service is started, then beside this file.
        # "" means no labels: label_names stays empty.
        "class_id_map_file": "imagenet1k_label_list.txt",
    },
}
