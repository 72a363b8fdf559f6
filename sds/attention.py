"""Weighted attention fusion (ASSD, 2406.04888): the edit looks at the reference while it is made.

In the spatial self-attention of the edit branch, with keys and values of both branches:

    out_e = w A(Q_e, K_e, V_e) + (1 - w) A(Q_e, K_r, V_r)

The batch is [reference half; edit half], as `guidance.guided` orders it; the reference is left
alone. Works on any module with diffusers' `attn_processors` / `set_attn_processor`; layers are
found by the names diffusers gives them. This module knows nothing about which model it is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TEMPORAL = frozenset({"motion_modules", "temp_attentions", "transformer_in"})
"""Parts of a video UNet whose self-attention runs along time, by the names diffusers uses."""


@contextmanager
def fused(module: nn.Module, weight: float) -> Iterator[None]:
    """Fuse the spatial self-attention of `module` inside the `with` block.

    weight in [0, 1]: 1 is plain attention, and installs nothing. The module's own processors are
    put back on leaving, also after an exception. Do not yield from a generator inside the block.
    Raises ValueError when the weight is out of range or the module has no spatial self-attention.
    """
    if not 0 <= weight <= 1:
        raise ValueError(f"fusion weight {weight} must lie in [0, 1]; 1 switches fusion off")
    if weight == 1:
        yield
        return
    before: dict[str, Any] = module.attn_processors
    names = [name for name in before if is_spatial_self_attention(name)]
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


def is_spatial_self_attention(name: str) -> bool:
    """Whether a processor's name, such as `mid_block.attentions.0...attn1.processor`, is one."""
    parts = name.split(".")
    return parts[-2:] == ["attn1", "processor"] and TEMPORAL.isdisjoint(parts)


@dataclass(frozen=True)
class FusedSelfAttention:
    """A diffusers attention processor; calls `plain` where the layer is not self-attention."""

    weight: float
    plain: Any

    def __call__(
        self,
        attn: nn.Module,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """hidden_states (2N, L, D) or (2N, D, H, W), reference rows first -> same shape."""
        if encoder_hidden_states is not None:
            # Some models build attn1 as a second cross-attention (only_cross_attention).
            return self.plain(attn, hidden_states, encoder_hidden_states, attention_mask, temb)
        if attention_mask is not None:
            raise ValueError("attention fusion takes no attention mask; call the model without one")
        if len(hidden_states) % 2:
            raise ValueError(
                f"attention fusion needs [reference; edit] in one batch, got {len(hidden_states)} "
                "rows; ask with guidance.guided(prior, [reference, edit], t)"
            )
        tokens = hidden_states
        if attn.spatial_norm is not None:
            tokens = attn.spatial_norm(tokens, temb)
        if tokens.ndim == 4:
            tokens = tokens.flatten(2).transpose(1, 2)
        if attn.group_norm is not None:
            tokens = attn.group_norm(tokens.transpose(1, 2)).transpose(1, 2)
        out = attn.to_out[1](attn.to_out[0](self._attend(attn, tokens)))
        if hidden_states.ndim == 4:
            out = out.transpose(1, 2).reshape(hidden_states.shape)
        if attn.residual_connection:
            out = out + hidden_states
        return out / attn.rescale_output_factor

    def _attend(self, attn: nn.Module, tokens: Tensor) -> Tensor:
        q, k, v = (
            layer(tokens).unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for layer in (attn.to_q, attn.to_k, attn.to_v)
        )
        q = q if attn.norm_q is None else attn.norm_q(q)
        k = k if attn.norm_k is None else attn.norm_k(k)
        own = F.scaled_dot_product_attention(q, k, v)
        half = len(tokens) // 2
        from_reference = F.scaled_dot_product_attention(q[half:], k[:half], v[:half])
        # lerp, not w a + (1 - w) b: with a == b it is a to the last bit, so that the fusion adds
        # no rounding of its own where the branches agree.
        edit = torch.lerp(from_reference, own[half:], self.weight)
        return torch.cat([own[:half], edit]).transpose(1, 2).flatten(2)
