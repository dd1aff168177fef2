"""Qwen2.5-VL: as Qwen2-VL. Pictures have no seconds in its positions, so a frame is placed as there. Knows no more."""

from typing import Final

from streambridge.backbones.qwen2_vl import Qwen2VL

MODEL_TYPES: Final = ("qwen2_5_vl",)


class Qwen25VL(Qwen2VL):
    """Qwen2.5-VL (arXiv 2502.13923)."""

    EYES = "qwen2_5_vl"
    CLASS = "Qwen2_5_VLForConditionalGeneration"


FAMILY = Qwen25VL
