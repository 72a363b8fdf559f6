"""Fusion on tiny networks of the real classes: silent when it should be, effective when not."""

import pytest
import torch
from diffusers.models.attention_processor import Attention

from sds.attention import FusedSelfAttention, fused, is_self_attention
from tests import tiny_teachers as tiny

COUNTS = {"unet2d": 4, "unet_motion": 4, "unet3d": 4}


@pytest.fixture(params=COUNTS)
def case(request):
    module = request.getfixturevalue(request.param)
    video = request.param != "unet2d"
    g = torch.Generator().manual_seed(0)
    sample = torch.randn(2, 4, *([3] if video else []), 8, 8, generator=g)
    cond = torch.randn(2, 5, 16, generator=g)

    def run(sample, cond):
        if request.param == "unet_motion":  # this one wants the prompt once per frame
            cond = cond.repeat_interleave(3, 0)
        with torch.no_grad():
            t = torch.tensor([400] * len(sample))
            return module(sample, t, encoder_hidden_states=cond, return_dict=False)[0]

    return request.param, module, run, sample, cond


def test_only_the_spatial_self_attention_is_fused(case):
    name, module, _, _, _ = case
    before = dict(module.attn_processors)
    with fused(module, 0.5):
        changed = {n for n, p in module.attn_processors.items() if p is not before[n]}
        assert all(isinstance(module.attn_processors[n], FusedSelfAttention) for n in changed)
    spatial = {
        n
        for n in before
        if ".attn1." in n
        and "motion_modules" not in n
        and "temp_attentions" not in n
        and "transformer_in" not in n
    }
    assert changed == spatial and len(changed) == COUNTS[name]
    assert module.attn_processors == before


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.7])
def test_equal_halves_stay_equal_and_plain(case, weight):
    _, module, run, sample, cond = case
    sample, cond = sample[:1].repeat(2, 1, *[1] * (sample.ndim - 2)), cond[:1].repeat(2, 1, 1)
    plain = run(sample, cond)
    with fused(module, weight):
        got = run(sample, cond)
    # Kernels round by a row's place in the batch; `guided` makes equal branches exactly equal.
    torch.testing.assert_close(got[0], got[1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(got, plain, atol=1e-5, rtol=1e-5)


def test_the_reference_half_is_left_alone_and_the_edit_half_is_not(case):
    _, module, run, sample, cond = case
    plain = run(sample, cond)
    with fused(module, 0.2):
        got = run(sample, cond)
    torch.testing.assert_close(got[0], plain[0], atol=1e-5, rtol=1e-5)
    assert (got[1] - plain[1]).abs().max() > 1e-4


def test_weight_one_installs_nothing_and_the_limit_is_continuous(case):
    _, module, run, sample, cond = case
    plain = run(sample, cond)
    before = dict(module.attn_processors)
    with fused(module, 1.0):
        assert module.attn_processors == before
        assert torch.equal(run(sample, cond), plain)
    with fused(module, 1 - 1e-7):
        torch.testing.assert_close(run(sample, cond), plain, atol=1e-5, rtol=1e-5)


def test_processors_come_back_after_an_exception(case):
    _, module, _, _, _ = case
    before = dict(module.attn_processors)
    with pytest.raises(KeyError), fused(module, 0.5):
        raise KeyError
    assert module.attn_processors == before


def test_the_formula_on_one_layer(unet2d):
    attn = unet2d.mid_block.attentions[0].transformer_blocks[0].attn1
    x = torch.randn(4, 6, 16)
    ref, edit = x[:2], x[2:]

    def attend(queries, source):  # softmax attention written out, per head
        split = lambda z: z.unflatten(-1, (attn.heads, -1)).transpose(1, 2)  # noqa: E731
        q, k, v = split(attn.to_q(queries)), split(attn.to_k(source)), split(attn.to_v(source))
        weights = (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5).softmax(-1)
        return (weights @ v).transpose(1, 2).flatten(2)

    want = attn.to_out[0](0.3 * attend(edit, edit) + 0.7 * attend(edit, ref))
    got = FusedSelfAttention(0.3, attn.processor)(attn, x)
    torch.testing.assert_close(got[2:], want / attn.rescale_output_factor)
    torch.testing.assert_close(got[:2], attn.processor(attn, x)[:2])


def test_nothing_is_projected_twice(unet2d):
    attn = unet2d.mid_block.attentions[0].transformer_blocks[0].attn1
    rows = {}
    hooks = [
        getattr(attn, name).register_forward_pre_hook(
            lambda _, args, name=name: rows.setdefault(name, []).append(len(args[0]))
        )
        for name in ("to_q", "to_k", "to_v")
    ]
    FusedSelfAttention(0.3, attn.processor)(attn, torch.randn(4, 6, 16))
    for hook in hooks:
        hook.remove()
    assert rows == {"to_q": [4], "to_k": [4], "to_v": [4]}


def test_residual_scale_and_norms_of_queries_as_diffusers_does():
    kind = dict(heads=2, dim_head=8, residual_connection=True, rescale_output_factor=2.0)
    attn = Attention(16, **kind, qk_norm="layer_norm").eval()
    x = torch.randn(1, 6, 16).repeat(2, 1, 1)
    torch.testing.assert_close(FusedSelfAttention(0.4, attn.processor)(attn, x), attn(x))


def test_wrong_use_is_refused(unet2d):
    attn = unet2d.mid_block.attentions[0].transformer_blocks[0].attn1
    layer = FusedSelfAttention(0.5, attn.processor)
    with pytest.raises(ValueError, match="reference; edit"):
        layer(attn, torch.randn(3, 6, 16))
    with pytest.raises(ValueError, match="mask"):
        layer(attn, torch.randn(2, 6, 16), attention_mask=torch.zeros(2, 6))
    grouped = Attention(16, heads=2, dim_head=8, norm_num_groups=4)
    with pytest.raises(ValueError, match="weight 1"):
        FusedSelfAttention(0.5, grouped.processor)(grouped, torch.randn(2, 6, 16))
    with pytest.raises(ValueError, match=r"\[0, 1\]"), fused(unet2d, 1.5):
        pass


def test_a_network_without_self_attention_is_refused():
    bare = tiny.unet2d(
        down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
        mid_block_type=None,
    )
    with (
        pytest.raises(ValueError, match=r"no spatial self-attention.* use weight 1"),
        fused(bare, 0.5),
    ):
        pass
    with fused(bare, 1.0):
        pass


def test_a_layer_that_attends_to_the_text_only_is_left_alone():
    """Some models build attn1 as a second cross-attention."""
    unet = tiny.unet2d(only_cross_attention=True)
    attn = unet.down_blocks[1].attentions[0].transformer_blocks[0].attn1
    x, text = torch.randn(2, 6, 16), torch.randn(2, 5, tiny.TEXT_WIDTH)
    plain = attn(x, text)
    with fused(unet, 0.2):
        assert isinstance(attn.processor, FusedSelfAttention)
        assert torch.equal(attn(x, text), plain)


def test_names():
    assert is_self_attention("mid_block.attentions.0.transformer_blocks.0.attn1.processor")
    assert not is_self_attention("mid.attentions.0.transformer_blocks.0.attn2.processor")
    assert not is_self_attention("up.0.motion_modules.1.transformer_blocks.0.attn1.processor")
