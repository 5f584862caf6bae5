"""The attributes of a face: those of CelebA."""

from collections.abc import Mapping, Sequence
from typing import Final

from ...settings import Settings
from .base import AttributeOutput

_NAMES: Final = (
    ("CheekWhiskers", "刚长出的双颊胡须"),
    ("ArchedEyebrows", "柳叶眉"),
    ("Attractive", "吸引人的"),
    ("BagsUnderEyes", "眼袋"),
    ("Bald", "秃头"),
    ("Bangs", "刘海"),
    ("BigLips", "大嘴唇"),
    ("BigNose", "大鼻子"),
    ("BlackHair", "黑发"),
    ("BlondHair", "金发"),
    ("Blurry", "模糊的"),
    ("BrownHair", "棕发"),
    ("BushyEyebrows", "浓眉"),
    ("Chubby", "圆胖的"),
    ("DoubleChin", "双下巴"),
    ("Eyeglasses", "带眼镜"),
    ("Goatee", "山羊胡子"),
    ("GrayHair", "灰发或白发"),
    ("HeavyMakeup", "浓妆"),
    ("HighCheekbones", "高颧骨"),
    ("Male", "男性"),
    ("MouthSlightlyOpen", "微微张开嘴巴"),
    ("Mustache", "胡子"),
    ("NarrowEyes", "细长的眼睛"),
    ("NoBeard", "无胡子"),
    ("OvalFace", "椭圆形的脸"),
    ("PaleSkin", "苍白的皮肤"),
    ("PointyNose", "尖鼻子"),
    ("RecedingHairline", "发际线后移"),
    ("RosyCheeks", "红润的双颊"),
    ("Sideburns", "连鬓胡子"),
    ("Smiling", "微笑"),
    ("StraightHair", "直发"),
    ("WavyHair", "卷发"),
    ("WearingEarrings", "戴着耳环"),
    ("WearingHat", "戴着帽子"),
    ("WearingLipstick", "涂了唇膏"),
    ("WearingNecklace", "戴着项链"),
    ("WearingNecktie", "戴着领带"),
    ("Young", "年轻人"),
)
"""English and Chinese."""
_ELSE: Final[Mapping[int, tuple[str, str]]] = {20: ("Female", "女性"), 39: ("Old", "老年人")}
"""What is said of those outputs that aren't above the threshold."""


class FaceAttribute(AttributeOutput):
    """The names of the outputs above the threshold, with gender and age always.

    Args:
        num_outputs: Scores of the model per image, 40.
        settings: Read for threshold and convert_cn.
        labels: As `AttributeOutput`.

    Raises:
        SettingsError: The model has another number of outputs.
    """

    def __init__(self, num_outputs: int, settings: Settings, labels: Mapping[int, str]) -> None:
        language = int(settings.convert_cn)
        self._names = [names[language] for names in _NAMES]
        self._else = {place: names[language] for place, names in _ELSE.items()}
        self._threshold = settings.one_threshold
        super().__init__(num_outputs, self._names, [self._threshold] * len(_NAMES), labels)

    def texts(self, scores: Sequence[float]) -> list[str]:
        """Return the texts of a face with these scores."""
        return [
            name if score > self._threshold else self._else[place]
            for place, (name, score) in enumerate(zip(self._names, scores, strict=True))
            if score > self._threshold or place in self._else
        ]
