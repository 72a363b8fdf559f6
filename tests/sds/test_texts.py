"""Text encoders of whole checkpoints, and tokenizers that come as sentencepiece models only."""

import copy
import json
import shutil

import pytest
import sentencepiece
import torch
from safetensors.torch import load_file

from sds.priors import cogvideox, texts, wan
from sds.priors import deepfloyd as df
from sds.priors import stable_diffusion as sd
from tests import tiny_teachers as tiny

SAYS = ["a red ball", ""]
READERS = {
    tiny.stable_diffusion: sd.embed,
    tiny.animatediff: sd.embed,
    tiny.modelscope: sd.embed,
    tiny.upscaler: sd.embed,
    tiny.wan: wan.embed,
    tiny.cogvideox: cogvideox.embed,
    tiny.if_stage_1: df.embed,
}


@pytest.mark.parametrize("make", READERS, ids=lambda f: f.__name__)
def test_the_encoder_of_a_folder_says_what_its_pipeline_says(make, tmp_path):
    folder = tiny.save(make(), tmp_path / "model")
    got = texts.embed(folder, SAYS, torch.device("cpu"), torch.float32)
    assert torch.equal(got, READERS[make](make(), SAYS))


def test_an_encoder_that_is_saved_as_wan_s_is_read_whole(tmp_path):
    """One table of words serves two names, and says that it does not: transformers 5.3 knows."""
    folder = tmp_path / "wan"
    tiny.save(tiny.wan(), folder)
    config = folder / "text_encoder" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"tie_word_embeddings": False}))
    assert "encoder.embed_tokens.weight" not in load_file(config.with_name("model.safetensors"))
    got = texts.embed(str(folder), SAYS, torch.device("cpu"), torch.float32)
    torch.testing.assert_close(got, wan.embed(tiny.wan(), SAYS))


def test_an_encoder_is_read_from_shards_in_half_precision(tmp_path):
    """As DeepFloyd's are; what would overflow in fp16 stays in fp32."""
    folder, part = tiny.save(tiny.if_stage_1(), tmp_path / "if"), tmp_path / "if" / "text_encoder"
    shutil.rmtree(part)
    half = copy.deepcopy(tiny.if_stage_1().text_encoder).half()
    half.save_pretrained(part, variant="fp16", max_shard_size="6KB")
    assert (part / "model.fp16-00002-of-00002.safetensors").exists()
    encoder = df.load_text(folder, torch.float16).text_encoder
    wide = {name.split(".")[-2] for name, p in encoder.named_parameters() if p.dtype != torch.half}
    assert wide == {"wo"}
    got = texts.embed(folder, SAYS, torch.device("cpu"), torch.float16)
    torch.testing.assert_close(got, df.embed(tiny.if_stage_1(), SAYS), atol=0.02, rtol=0.02)


def test_a_tokenizer_that_is_a_sentencepiece_model_only_is_read(tmp_path):
    """CogVideoX-2b and DeepFloyd IF bring theirs so."""
    folder = tiny.save(tiny.cogvideox(), tmp_path / "model")
    words = tmp_path / "words.txt"
    words.write_text("\n".join([*tiny.WORDS, "a red ball", "a blue cat with a yellow cap"] * 20))
    sentencepiece.SentencePieceTrainer.train(
        input=str(words),
        model_prefix=str(tmp_path / "spiece"),
        vocab_size=30,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    tokens = tmp_path / "model" / "tokenizer"
    (tokens / "tokenizer.json").unlink()
    shutil.move(tmp_path / "spiece.model", tokens / "spiece.model")
    pipe = cogvideox.load_text(folder, torch.float32)
    spoken = sentencepiece.SentencePieceProcessor(model_file=str(tokens / "spiece.model"))
    assert pipe.tokenizer("a red ball").input_ids == [*spoken.encode("a red ball"), 1]
