"""Reads a params.py as the original service has it: a function that returns nested dictionaries.

def get_default_confg():
return {
"Global": {"inference_model_dir": "../inference/", "batch_size": 1, "use_gpu": False, ...},
"PostProcess": {"main_indicator": "Topk", "Topk": {"topk": 5, "class_id_map_file": "..."}},
}
"""

import logging
from collections.abc import Mapping
from typing import Any, Final

from .errors import SettingsError
from .fields import refuse_unknown

_LOGGER: Final = logging.getLogger("clas_system")
_NO_MEANING: Final = ("enable_benchmark", "enable_profile")
"""Keys that do nothing in a service."""
_DEFAULT_LABELS: Final = "./utils/imagenet1k_label_list.txt"
"""The original's name of the list that is built in here."""


def read_original(params: Mapping[str, Any]) -> dict[str, object]:
    """Return the settings of the original's params.py by their names here.

    Args:
        params: What `get_default_confg` returns.

    Raises:
        SettingsError: A section is unknown or isn't a dictionary.
    """
    refuse_unknown(params, ("Global", "PostProcess"), "params.py")
    values = _section(params, "Global")
    passed_over: list[str] = [name for name in _NO_MEANING if name in values]
    for name in passed_over:
        del values[name]
    size = values.pop("batch_size", 1)
    if size != 1:  # 1 is what it has where nobody has thought about it
        values["max_batch_size"] = size
    if values.pop("use_fp16", False):
        if values.get("use_gpu"):
            values["precision"] = "fp16"
        else:  # the original then computes in fp32, too
            passed_over.append("use_fp16")
    if passed_over:
        _LOGGER.info("params.py: %s have no meaning here, and are passed over", ", ".join(passed_over))
    outputs = _section(params, "PostProcess")
    indicator = outputs.get("main_indicator", "Topk")
    if not isinstance(indicator, str):
        raise SettingsError(f"params.py has main_indicator {indicator!r:.80}; it takes a name")
    options = _section(outputs, indicator)
    if options.get("class_id_map_file") == _DEFAULT_LABELS:
        del options["class_id_map_file"]
    return {**values, "main_indicator": indicator, **options}


def _section(params: Mapping[str, Any], name: str) -> dict[str, Any]:
    section = params.get(name)
    if section is not None and not isinstance(section, Mapping):
        raise SettingsError(f"params.py has {name} {section!r:.80}; it takes a dictionary")
    return dict(section or {})
