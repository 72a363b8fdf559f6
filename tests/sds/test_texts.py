"""Text encoders of whole checkpoints, and tokenizers that come as sentencepiece models only."""

import shutil

import pytest
import sentencepiece
import torch

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
