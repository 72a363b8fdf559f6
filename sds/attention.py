"""Weighted attention fusion (ASSD, 2406.04888): the edit looks at the reference while it is made.

In the self-attention of the edit branch, with keys and values of both branches:

    out_e = w A(Q_e, K_e, V_e) + (1 - w) A(Q_e, K_r, V_r)

The batch is [reference half; edit half], as `guidance.guided` orders it; the reference is left
alone. Each layer's own processor computes both terms: the second is the layer asked as a
cross-attention, from the edit to the reference, with the projections of the first. So norms, rotary
positions and attention backends stay the model's. What follows A is affine, and its weights sum to
1, so mixing the outputs is mixing the A's.

Works on any module with diffusers' `attn_processors` / `set_attn_processor`; layers are found by
the names diffusers gives them. In a UNet that is the spatial self-attention, in a transformer
without separate layers for time (Wan) the one over all places and frames. This module knows nothing
about which model it is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

TEMPORAL = frozenset({"motion_modules", "temp_attentions", "transformer_in"})
"""Parts of a video UNet whose self-attention runs along time, by the names diffusers uses."""


@contextmanager
def fused(module: nn.Module, weight: float) -> Iterator[None]:
    """Fuse the self-attention of `module` inside the `with` block.

    weight in [0, 1]: 1 is plain attention, and installs nothing. The module's own processors are
    put back on leaving, also after an exception. Do not yield from a generator inside the block.
    Raises ValueError when the weight is out of range or the module has no self-attention of its
    own, such as one whose text and picture tokens attend to each other in one layer.
    """
    if not 0 <= weight <= 1:
        raise ValueError(f"fusion weight {weight} must lie in [0, 1]; 1 switches fusion off")
    if weight == 1:
        yield
        return
    before: dict[str, Any] = module.attn_processors
    names = [name for name in before if is_self_attention(name)]
    if not names:
        raise ValueError(
            f"{type(module).__name__} has no spatial self-attention (attn1) to fuse; "
            "use weight 1 with this model"
        )
    after = before | {name: FusedSelfAttention(weight, before[name]) for name in names}
    module.set_attn_processor(after)
    try:
        yield
    finally:
        module.set_attn_processor(dict(before))


def is_fused(module: nn.Module) -> bool:
    """Whether the module is inside such a block."""
    processors: dict[str, Any] = getattr(module, "attn_processors", {})
    return any(isinstance(processor, FusedSelfAttention) for processor in processors.values())


def is_self_attention(name: str) -> bool:
    """Whether a processor's name is that of a self-attention over the places of a picture.

    Such as `mid_block.attentions.0...attn1.processor`, but not one along time only.
    """
    parts = name.split(".")
    return parts[-2:] == ["attn1", "processor"] and TEMPORAL.isdisjoint(parts)


@dataclass(frozen=True)
class FusedSelfAttention:
    """A diffusers attention processor around the layer's own."""

    weight: float
    plain: Any

    def __call__(
        self,
        attn: nn.Module,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *rest: Any,
        **named: Any,
    ) -> Tensor:
        """hidden_states (2N, L, D), reference rows first -> same shape.

        Raises ValueError for rows that are not two halves, for a masked layer, and for a layer that
        normalises its own tokens (the reference's would not be) or that mixes in those of the text.
        """
        if encoder_hidden_states is not None:
            if not attn.is_cross_attention:
                raise ValueError(
                    "text and picture tokens share the attention of this model, so the reference's "
                    "picture cannot be told from its words; use fusion weight 1 with it"
                )
            # Some models build attn1 as a second cross-attention (only_cross_attention).
            return self.plain(
                attn, hidden_states, encoder_hidden_states, attention_mask, *rest, **named
            )
        if attention_mask is not None:
            raise ValueError("attention fusion takes no attention mask; call the model without one")
        if len(hidden_states) % 2:
            raise ValueError(
                f"attention fusion needs [reference; edit] in one batch, got {len(hidden_states)} "
                "rows; ask with guidance.guided(prior, [reference, edit], t)"
            )
        if any(getattr(attn, name, None) is not None for name in ("group_norm", "spatial_norm")):
            raise ValueError("this layer normalises its own tokens; use fusion weight 1 with it")
        first = _Layer(attn, {})
        own = self.plain(first, hidden_states, None, None, *rest, **named)
        reference, edit = hidden_states.chunk(2)
        half = len(reference)
        # Tokens of the reference as what is attended to: its keys and values.
        q, k, v = (first.made[name] for name in ("to_q", "to_k", "to_v"))
        second = _Layer(attn, {"to_q": q[half:], "to_k": k[:half], "to_v": v[:half]})
        from_reference = self.plain(second, edit, reference, None, *rest, **named)
        # lerp, not w a + (1 - w) b: with a == b it is a to the last bit, so that the fusion adds
        # no rounding of its own where the branches agree.
        mixed = torch.lerp(from_reference, own[half:], self.weight)
        return torch.cat([own[:half], mixed])


@dataclass(frozen=True)
class _Layer:
    """An attention layer as its processor sees it, which projects nothing twice."""

    attn: nn.Module
    made: dict[str, Tensor]
    """Projections, by the names of what makes them."""

    def to_q(self, tokens: Tensor) -> Tensor:
        """Queries."""
        return self._project("to_q", tokens)

    def to_k(self, tokens: Tensor) -> Tensor:
        """Keys."""
        return self._project("to_k", tokens)

    def to_v(self, tokens: Tensor) -> Tensor:
        """Values."""
        return self._project("to_v", tokens)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.attn, name)

    def _project(self, name: str, tokens: Tensor) -> Tensor:
        if name not in self.made:
            self.made[name] = getattr(self.attn, name)(tokens)
        return self.made[name]
