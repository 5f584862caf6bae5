import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clas.output.attributes.face import FaceAttribute
from clas.settings import Settings

TABLE = """CheekWhiskers 刚长出的双颊胡须 · ArchedEyebrows 柳叶眉 · Attractive 吸引人的 · BagsUnderEyes 眼袋 ·
Bald 秃头 · Bangs 刘海 · BigLips 大嘴唇 · BigNose 大鼻子 ·
BlackHair 黑发 · BlondHair 金发 · Blurry 模糊的 · BrownHair 棕发 ·
BushyEyebrows 浓眉 · Chubby 圆胖的 · DoubleChin 双下巴 · Eyeglasses 带眼镜 ·
Goatee 山羊胡子 · GrayHair 灰发或白发 · HeavyMakeup 浓妆 · HighCheekbones 高颧骨 ·
Male 男性 · MouthSlightlyOpen 微微张开嘴巴 · Mustache 胡子 · NarrowEyes 细长的眼睛 ·
NoBeard 无胡子 · OvalFace 椭圆形的脸 · PaleSkin 苍白的皮肤 · PointyNose 尖鼻子 ·
RecedingHairline 发际线后移 · RosyCheeks 红润的双颊 · Sideburns 连鬓胡子 · Smiling 微笑 ·
StraightHair 直发 · WavyHair 卷发 · WearingEarrings 戴着耳环 · WearingHat 戴着帽子 ·
WearingLipstick 涂了唇膏 · WearingNecklace 戴着项链 · WearingNecktie 戴着领带 · Young 年轻人"""
NAMES = [pair.split() for pair in re.split(r" ·\s", TABLE)]
SHARES = st.floats(0, 1, width=32) | st.just(float(np.float32(0.65)))


@given(row=st.lists(SHARES, min_size=40, max_size=40), convert_cn=st.booleans())
def test_the_texts_and_the_bits_are_those_of_the_format(row: list[float], convert_cn: bool) -> None:
    settings = Settings(main_indicator="FaceAttribute", convert_cn=convert_cn)
    scores = np.array([row], np.float32)
    [entry] = FaceAttribute(40, settings, {})(scores, 40)
    bits = (scores[0].astype(np.float64) > 0.65).astype(int)
    texts = []
    for place, bit in enumerate(bits):
        if place == 20:
            texts.append([["Female", "女性"], ["Male", "男性"]][bit][convert_cn])
        elif place == 39:
            texts.append([["Old", "老年人"], ["Young", "年轻人"]][bit][convert_cn])
        elif bit:
            texts.append(NAMES[place][convert_cn])
    assert entry["attributes"] == texts
    assert entry["output"] == bits.tolist()
    assert entry["label_names"] == [NAMES[place][convert_cn] for place in entry["class_ids"]]


@pytest.mark.parametrize(("threshold", "texts"), [(None, ["Female", "Old"]), (0.6, ["Male", "Old"])])
def test_the_threshold_is_0_65_unless_it_is_set(threshold: float | None, texts: list[str]) -> None:
    scores = np.zeros((1, 40), np.float32)
    scores[0, 20] = 0.65
    settings = Settings(main_indicator="FaceAttribute", threshold=threshold)
    assert FaceAttribute(40, settings, {})(scores, 40)[0]["attributes"] == texts
