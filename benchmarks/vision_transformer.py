"""A vision transformer of the size of DeiT-small, with random weights, which Paddle writes as pdmodel.

Paddle's own attention and GELU can't: `paddle.matmul` only knows the newer format.
"""

from typing import Any, Final

import paddle
from paddle import nn

_PATCH: Final = 16
_TOKENS: Final = (224 // _PATCH) ** 2
_WIDTH: Final = 384
_HEADS: Final = 6
_HEAD_WIDTH: Final = _WIDTH // _HEADS
_LAYERS: Final = 12


class VisionTransformer(nn.Layer):  # type: ignore[misc]  # Paddle is untyped
    """[N, 3, 224, 224] -> [N, classes].

    Args:
        num_classes: How many there are.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.patches = nn.Conv2D(3, _WIDTH, _PATCH, stride=_PATCH)
        self.position = self.create_parameter([1, _TOKENS, _WIDTH])
        self.attention = nn.LayerList([_Attention() for _ in range(_LAYERS)])
        self.mixing = nn.LayerList([_perceptron() for _ in range(_LAYERS)])
        self.head = nn.Sequential(nn.LayerNorm(_WIDTH), nn.Linear(_WIDTH, num_classes))

    def forward(self, images: Any) -> Any:  # noqa: ANN401  # of Paddle
        """Classify images."""
        tokens = self.patches(images).flatten(2).transpose([0, 2, 1]) + self.position
        for attend, mix in zip(self.attention, self.mixing, strict=True):
            tokens = tokens + attend(tokens)
            tokens = tokens + mix(tokens)
        return self.head(tokens.mean(axis=1))


class _Attention(nn.Layer):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(_WIDTH)
        self.projections = nn.LayerList([nn.Linear(_WIDTH, _WIDTH) for _ in range(4)])

    def forward(self, tokens: Any) -> Any:  # noqa: ANN401
        normal = self.norm(tokens)
        query, key, value = (_by_head(project(normal)) for project in self.projections[:3])
        scores = _operator("matmul_v2", {"X": query, "Y": key}, trans_y=True) * _HEAD_WIDTH**-0.5
        mixed = _operator("matmul_v2", {"X": nn.functional.softmax(scores), "Y": value})
        return self.projections[3](mixed.transpose([0, 2, 1, 3]).reshape([-1, _TOKENS, _WIDTH]))


class _Gelu(nn.Layer):  # type: ignore[misc]
    def forward(self, tokens: Any) -> Any:  # noqa: ANN401
        return _operator("gelu", {"X": tokens})


def _perceptron() -> Any:  # noqa: ANN401
    inner = 4 * _WIDTH
    return nn.Sequential(nn.LayerNorm(_WIDTH), nn.Linear(_WIDTH, inner), _Gelu(), nn.Linear(inner, _WIDTH))


def _by_head(tokens: Any) -> Any:  # noqa: ANN401
    """[N, tokens, width] -> [N, heads, tokens, width of a head]."""
    return tokens.reshape([-1, _TOKENS, _HEADS, _HEAD_WIDTH]).transpose([0, 2, 1, 3])


def _operator(kind: str, inputs: dict[str, Any], **options: object) -> Any:  # noqa: ANN401
    """Add an operator to the program."""
    helper = paddle.base.layer_helper.LayerHelper(kind)
    result = helper.create_variable_for_type_inference("float32")
    helper.append_op(type=kind, inputs=inputs, outputs={"Out": result}, attrs=options)
    return result
