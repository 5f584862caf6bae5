"""Settings that say what is made of a model's scores: the base of `Settings`."""

import dataclasses
from collections.abc import Mapping
from typing import Final

from .errors import SettingsError
from .fields import choice, number, parsed, plain
from .result_values import Group, Thresholds, read_groups, read_names, read_threshold

ATTRIBUTE_FORMS: Final = ("PersonAttribute", "VehicleAttribute", "TableAttribute", "FaceAttribute")
"""Values of main_indicator whose results are the texts of PaddleClas' attribute models."""
FEATURE_FORMS: Final = ("NormalizeFeatures", "Binarize", "features")
"""Values of main_indicator whose results are the features of an image."""
RESULT_OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "Topk": ("topk", "min_score"),
    "ThreshOutput": ("threshold", "default_label_index", "label_0", "label_1"),
    "MultiLabelThreshOutput": ("threshold",),
    "PersonAttribute": ("threshold", "glasses_threshold", "hold_threshold"),
    "VehicleAttribute": ("color_threshold", "type_threshold"),
    "TableAttribute": tuple(
        f"{name}_threshold" for name in ("source", "number", "color", "clarity", "obstruction", "angle")
    ),
    "FaceAttribute": ("threshold", "convert_cn"),
    "groups": ("groups",),
    "ScoreOutput": ("decimal_places",),
    "NormalizeFeatures": ("feature_format",),
    "Binarize": ("binarize_method", "feature_format"),
    "features": ("feature_format",),
}
"""Value of main_indicator -> the settings that it reads, without those of labels."""
THRESHOLD: Final = 0.5
FACE_THRESHOLD: Final = 0.65
"""The thresholds where none is set: that of PaddleClas' FaceAttribute, and before it that of all else."""

_MOST_PLACES: Final = 15


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResultSettings:
    """What is made of a model's scores; see `Settings`."""

    main_indicator: str = choice(
        "Topk",
        "ThreshOutput",
        "MultiLabelThreshOutput",
        *ATTRIBUTE_FORMS,
        "groups",
        "ScoreOutput",
        *FEATURE_FORMS,
        help_text="Results: the best classes, one of two classes or of several, all classes above a "
        "threshold, the texts of an attribute model, an answer for each group of outputs, a number, or the "
        "features of an image",
        group="results",
    )
    topk: int = number(
        5, 1, 2**31 - 1, "Results per image, unless a request has another number; with Topk", group="results"
    )
    min_score: float = number(
        0, 0, 1, "Classes with a lower score are left out, with Topk; there may be none", group="results"
    )
    threshold: float | Thresholds | None = parsed(  # noqa: RUF009  # a field
        None,
        read_threshold,
        {
            "en": "0 – 1; a list with one for each class, or `{default: 0.5, 3: 0.2}`, as JSON in a flag",
            "zh": "0 – 1；或每类一个的列表，或 `{default: 0.5, 3: 0.2}`，在命令行参数里写成 JSON",
        },
        f"Score from which on a class counts, not with Topk; empty: {FACE_THRESHOLD} with FaceAttribute, "
        f"else {THRESHOLD}; several for MultiLabelThreshOutput only",
        group="results",
    )
    label_0: str = plain("0", "Name of class 0, with ThreshOutput and two classes", group="results")
    label_1: str = plain("1", "Name of class 1, with ThreshOutput and two classes", group="results")
    default_label_index: int = number(
        0,
        0,
        2**31 - 1,
        "Class if none is above the threshold, with ThreshOutput and more than two classes",
        group="results",
    )
    glasses_threshold: float = number(
        0.3, 0, 1, "Threshold of glasses, with PersonAttribute", group="results"
    )
    hold_threshold: float = number(
        0.6, 0, 1, "Threshold of objects held in front, with PersonAttribute", group="results"
    )
    color_threshold: float = number(
        0.5, 0, 1, "Threshold of the color, with VehicleAttribute and TableAttribute", group="results"
    )
    type_threshold: float = number(0.5, 0, 1, "Threshold of the type, with VehicleAttribute", group="results")
    source_threshold: float = number(0.5, 0, 1, "Threshold of scanned, with TableAttribute", group="results")
    number_threshold: float = number(
        0.5,
        0,
        1,
        "Threshold of little text, with TableAttribute, whose last two texts it decides, too",
        group="results",
    )
    clarity_threshold: float = number(0.5, 0, 1, "Threshold of clear, with TableAttribute", group="results")
    obstruction_threshold: float = number(
        0.5, 0, 1, "Threshold of no obstacles, with TableAttribute, in `output` only", group="results"
    )
    angle_threshold: float = number(
        0.5, 0, 1, "Threshold of horizontal, with TableAttribute, in `output` only", group="results"
    )
    convert_cn: bool = plain(False, "Names in Chinese, with FaceAttribute", group="results")
    groups: tuple[Group, ...] = parsed(
        (),
        read_groups,
        {
            "en": "a list of objects: `name`, `outputs`, `labels` and maybe `threshold`; as JSON in a flag",
            "zh": "对象的列表，各含 `name`、`outputs`、`labels`，可有 `threshold`；在命令行参数里写成 JSON",
        },
        "The questions that a model with several heads answers, with groups",
        group="results",
    )
    decimal_places: int = number(
        5, 0, _MOST_PLACES, "Decimals of the number, with ScoreOutput", group="results"
    )
    binarize_method: str = choice(
        "round",
        "sign",
        help_text="What makes a feature a bit, with Binarize: round(x), or whether it is above 0",
        group="results",
    )
    feature_format: str = choice(
        "list",
        "base64",
        help_text="Features as a list of numbers, or as base64 of little-endian float32, with Binarize of "
        "bytes",
        group="results",
    )
    output_name: str = plain(
        "",
        "Output of the program that has the scores; empty: the only one that may have them",
        group="results",
    )
    output_names: tuple[str, ...] = parsed(
        (),
        read_names,
        {"en": "a list of names, with commas in a flag", "zh": "名字的列表，在命令行参数里用逗号隔开"},
        "Outputs of the program that are joined in this order, in place of output_name",
        group="results",
    )
    softmax: str = choice(
        "auto",
        "true",
        "false",
        help_text="Apply softmax to the scores; auto: if they aren't from 0 to 1, and the classes are named",
        group="results",
    )

    @property
    def wanted_outputs(self) -> tuple[str, ...]:
        """The names of the outputs with the scores; empty for the only one that can be."""
        return self.output_names or ((self.output_name,) if self.output_name else ())

    @property
    def one_threshold(self) -> float:
        """The threshold of all classes alike.

        Raises:
            SettingsError: There are several.
        """
        if isinstance(self.threshold, Thresholds):
            raise SettingsError(
                f"threshold has several numbers, and main_indicator is {self.main_indicator}: that is for "
                "MultiLabelThreshOutput only"
            )
        if self.threshold is None:
            return FACE_THRESHOLD if self.main_indicator == "FaceAttribute" else THRESHOLD
        return self.threshold

    @property
    def result_options(self) -> dict[str, object]:
        """The settings that main_indicator reads, as JSON values."""
        values = {name: getattr(self, name) for name in RESULT_OPTIONS[self.main_indicator]}
        if "threshold" in values:
            values["threshold"] = (
                self.threshold.as_json() if isinstance(self.threshold, Thresholds) else self.one_threshold
            )
        if "groups" in values:
            values["groups"] = [group.as_json() for group in self.groups]
        return values

    def check_results(self) -> None:
        """Check that these settings go together.

        Raises:
            SettingsError: Two of them don't.
        """
        if self.softmax == "true" and self.main_indicator not in ("Topk", "ThreshOutput"):
            raise SettingsError(
                "softmax is true, which makes classes exclude each other; "
                f"main_indicator is {self.main_indicator}, whose classes don't"
            )
        if bool(self.groups) != (self.main_indicator == "groups"):
            found = "set" if self.groups else "empty"
            raise SettingsError(f"groups is {found}, and main_indicator is {self.main_indicator}")
        if self.output_name and self.output_names:
            raise SettingsError("output_name and output_names are both set: leave one of them empty")
        if self.main_indicator not in ("Topk", "MultiLabelThreshOutput"):
            _ = self.one_threshold
