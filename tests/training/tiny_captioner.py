"""Captioning models of true architectures with random weights, made in a moment: they know a dozen words."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessorPil,
    BlipProcessor,
    CLIPImageProcessorPil,
    GitConfig,
    GitForCausalLM,
    GitProcessor,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessorPil,
    Idefics3Processor,
    PreTrainedTokenizerFast,
)

from training.description.captioner import QUESTION

WORDS = ("a", "red", "apple", "cat", "house", "boat", "on", "table", "tree", "icon", "drawing", "of")
SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
EYES = {**SMALL, "image_size": 32, "patch_size": 8}
CHAT = (
    "<s>{% for message in messages %}{{ message['role'] }} : {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %} {{ part['text'] }}{% endif %}{% endfor %}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant : {% endif %}"
)


def write_blip(folder: Path, *, only: str = "") -> Path:
    """A captioner of BLIP's kind; with `only` it can say nothing but this word."""
    tokenizer = _bert(folder, "[DEC]")
    torch.manual_seed(1)
    ids = dict(zip(("bos_token_id", "sep_token_id", "pad_token_id"), _ids(tokenizer), strict=True))
    text = {**SMALL, **ids, "eos_token_id": ids["sep_token_id"], "encoder_hidden_size": 16, "projection_dim": 16}
    config = BlipConfig(text_config={**text, "vocab_size": len(tokenizer)}, vision_config=EYES)
    model = BlipForConditionalGeneration(config)
    if only:
        with torch.no_grad():
            model.text_decoder.cls.predictions.bias[tokenizer.convert_tokens_to_ids(only)] = 100.0
    model.save_pretrained(folder)
    BlipProcessor(BlipImageProcessorPil(size={"height": 32, "width": 32}), tokenizer).save_pretrained(folder)
    return folder


def write_git(folder: Path) -> Path:
    """A captioner of GIT's kind."""
    tokenizer = _bert(folder, "[CLS]")
    torch.manual_seed(2)
    ids = dict(zip(("bos_token_id", "eos_token_id", "pad_token_id"), _ids(tokenizer), strict=True))
    GitForCausalLM(GitConfig(vision_config=EYES, vocab_size=len(tokenizer), **SMALL, **ids)).save_pretrained(folder)
    images = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    GitProcessor(images, tokenizer).save_pretrained(folder)
    return folder


def write_chat(folder: Path) -> Path:
    """A model that follows instructions, of Idefics3's kind, which SmolVLM's is too; it cannot say the question."""
    asked = [word for word, _ in pre_tokenizers.Whitespace().pre_tokenize_str(QUESTION)]
    words = list(dict.fromkeys(["<pad>", "<s>", "</s>", "<unk>", *WORDS, *asked, "user", "assistant"]))
    plain = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=plain, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    marks = ["<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>"]
    tokenizer.add_special_tokens({"additional_special_tokens": marks})
    images = Idefics3ImageProcessorPil(
        do_image_splitting=False, size={"longest_edge": 32}, max_image_size={"longest_edge": 32}
    )
    Idefics3Processor(images, tokenizer, image_seq_len=4, chat_template=CHAT).save_pretrained(folder)
    torch.manual_seed(3)
    text = {**SMALL, "model_type": "llama", "vocab_size": len(tokenizer), "num_key_value_heads": 2, "pad_token_id": 0}
    config = Idefics3Config(
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=0,
        text_config={**text, "bos_token_id": 1, "eos_token_id": 2, "max_position_embeddings": 256},
        vision_config=EYES,
    )
    model = Idefics3ForConditionalGeneration(config)
    model.generation_config.suppress_tokens = _never(tokenizer)
    model.save_pretrained(folder)
    return folder


def _never(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    said = {tokenizer.convert_tokens_to_ids(word) for word in (*WORDS, "</s>")}
    return sorted(set(range(len(tokenizer))) - said)


def _bert(folder: Path, begins: str) -> BertTokenizer:
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", begins, *WORDS])))
    return BertTokenizer(str(vocabulary), bos_token=begins)


def _ids(tokenizer: BertTokenizer) -> tuple[int, int, int]:
    begins, ends, pads = tokenizer.convert_tokens_to_ids([tokenizer.bos_token, "[SEP]", "[PAD]"])
    return begins, ends, pads
