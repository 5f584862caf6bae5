"""Settings of the service. After an edit, run `hub uninstall clas_system` and `hub install clas/` again.

Every key can also be set for a single start, in `init_args` of config.json, which takes precedence.
"""

PARAMS: dict[str, dict[str, object]] = {
    "Global": {
        # Directory with inference.pdmodel + inference.pdiparams (or inference.json + inference.pdiparams).
        # A relative path starts where the service is started; if there is no such directory, the folder
        # inference/ beside this file is used.
        "inference_model_dir": "../inference/",
        "model_name": "",  # on the page; "": that of the model's inference.yml, or else of its folder
        "model_key_file": "",  # of a model that `python -m clas encrypt` made
        # What runs the model: "openvino", "paddle" or "onnxruntime". "auto": in PaddleHub Paddle; elsewhere
        # the first of these three that is installed and runs it, and on a GPU Paddle or ONNX Runtime.
        "engine": "auto",
        "use_gpu": False,
        "gpu_mem": 8000,  # MB reserved on the GPU at start
        "enable_mkldnn": True,  # Paddle on the CPU: several times as fast; ignored with use_gpu
        "cpu_num_threads": 0,  # 0: all cores available to this process; 1 in a worker of --use_multiprocess
        # "bf16": faster on CPUs with AVX512-BF16 or AMX, with scores that differ in the second or third
        # decimal; on other CPUs the service refuses to start.
        "precision": "fp32",  # "fp16": on a GPU, faster
        "use_tensorrt": False,  # on a GPU; the first start with a model takes minutes
        "ir_optim": True,  # Paddle's graph optimisation
        # Images in one batch of the model; larger requests are split. 0: 4 on the CPU, where larger batches
        # are no faster per image, and 32 on a GPU.
        "max_batch_size": 0,
    },
    # Preprocessing of encoded images by the server, and by the client's default. An inference.yml beside the
    # model takes precedence.
    "PreProcess": {
        "resize_short": 256,  # pixels
        "crop_size": 224,  # pixels
        # [width, height], regardless of the aspect ratio; replaces resize_short and crop_size.
        "resize_size": [],
        "interpolation": "bilinear",  # or nearest, bicubic, lanczos; with cv2 area; with pil box, hamming
        "resize_backend": "cv2",  # or "pil": Pillow, which averages when it downsizes
        # (pixel * scale - mean) / std for R, G, B; these are ImageNet's values.
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "scale": 1 / 255,
        "max_image_pixels": 89_478_485,  # width x height of one encoded image; larger ones are refused
        # Decode large JPEGs at 1/2, 1/4 or 1/8 of their size, but no less than twice resize_short: faster,
        # with slightly different scores.
        "reduced_decode": False,
    },
    # An inference.yml takes precedence here, too.
    "PostProcess": {
        # "Topk"; "ThreshOutput" for two classes: yes if the score of the second reaches the threshold;
        # "MultiLabelThreshOutput" for several labels at once: all that reach the threshold.
        # "PersonAttribute", "VehicleAttribute", "TableAttribute", "FaceAttribute" for PaddleClas' attribute
        # models, "groups" for other models with several heads, "ScoreOutput" for a number, "features",
        # "NormalizeFeatures", "Binarize" for the features of an image.
        "main_indicator": "Topk",
        "topk": 5,
        "min_score": 0,  # with Topk: classes with a lower score are left out
        # 0 to 1, not with Topk; None: 0.65 with FaceAttribute, else 0.5. With MultiLabelThreshOutput also
        # a list with one number for each class, or {"default": 0.5, 3: 0.2}.
        "threshold": None,
        "label_0": "0",  # names of the two classes, with ThreshOutput only
        "label_1": "1",
        "default_label_index": 0,  # ThreshOutput with more than two classes: if none is above the threshold
        "glasses_threshold": 0.3,  # PersonAttribute
        "hold_threshold": 0.6,
        "color_threshold": 0.5,  # VehicleAttribute and TableAttribute
        "type_threshold": 0.5,  # VehicleAttribute
        "source_threshold": 0.5,  # TableAttribute
        "number_threshold": 0.5,
        "clarity_threshold": 0.5,
        "obstruction_threshold": 0.5,
        "angle_threshold": 0.5,
        "convert_cn": False,  # FaceAttribute: names in Chinese
        # With "groups": [{"name": "gender", "outputs": [22], "threshold": 0.5, "labels": ["male", "female"]},
        # {"name": "age", "outputs": [19, 20, 21], "labels": ["young", "adult", "old"]}]
        "groups": [],
        "decimal_places": 5,  # ScoreOutput
        "binarize_method": "round",  # Binarize; or "sign"
        "feature_format": "list",  # or "base64"
        # One "<id> <name>" per line, UTF-8; looked up where the service is started, then beside this file.
        # "" means no labels: label_names stays empty.
        "class_id_map_file": "imagenet1k_label_list.txt",
        # True: start with labels whose ids aren't those of the model's classes.
        "allow_label_mismatch": False,
        # The output that has the scores, if there are several; "" means the only one that may have them.
        "output_name": "",
        # Or several outputs, which are joined in this order.
        "output_names": [],
        # True, False or "auto": apply softmax if the scores aren't from 0 to 1, and the classes have labels.
        "softmax": "auto",
    },
}
