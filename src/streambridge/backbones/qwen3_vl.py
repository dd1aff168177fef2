"""Qwen3-VL, dense and of experts: a frame's features enter at several layers (DeepStack). Knows only its own."""

from typing import Any, Final

from torch import Tensor

from streambridge.backbones.local import model_type
from streambridge.backbones.qwen2_vl import Qwen2VL

MODEL_TYPES: Final = ("qwen3_vl", "qwen3_vl_moe")


class Qwen3VL(Qwen2VL):
    """Qwen3-VL (arXiv 2511.21631). All levels are cached with the frame, and merged alike."""

    EYES = "qwen3_vl"
    CLASS = "Qwen3VLForConditionalGeneration"

    def _class(self) -> str:
        return "Qwen3VLMoeForConditionalGeneration" if model_type(self.folder) == "qwen3_vl_moe" else self.CLASS

    def _bundle(self, out: Any) -> dict[str, Tensor]:
        levels = out.deepstack_features  # transformers 5.17: tensors; later: a tuple of one tensor a picture
        deep = [level if isinstance(level, Tensor) else level[0] for level in levels]
        return {"embeds": out.pooler_output[0], **{f"deep{number}": level for number, level in enumerate(deep)}}


FAMILY = Qwen3VL
