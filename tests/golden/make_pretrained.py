"""Write tiny random Hugging Face checkpoints with their outputs.

`python tests/golden/make_pretrained.py [NAME...]` writes those of these names, by default all. It needs the
`parity` extra. The default tier of the tests reads what it wrote, without torch.
"""

import sys
from pathlib import Path

import numpy as np
import torch
import transformers

FOLDER = Path(__file__).parent
PAD, END = 3, 0
SIZES = {"vocab_size": 40, "max_position_embeddings": 12}
BERT = {
    **SIZES, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 10
}  # fmt: skip
LABELS = {"id2label": {0: "World", 1: "Sports", 2: "Science"}}
DEBERTA = {
    "relative_attention": True, "position_buckets": 4, "norm_rel_ebd": "layer_norm", "share_att_key": True,
    "pos_att_type": "p2c|c2p", "position_biased_input": False,
}  # fmt: skip
MODERN = {"num_hidden_layers": 4, "local_attention": 4, "pad_token_id": 0, "num_attention_heads": 2}
DISTIL = {**SIZES, "dim": 12, "n_layers": 2, "n_heads": 2, "hidden_dim": 10}
TRANSLATOR = {
    **SIZES, "d_model": 12, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 10,
    "decoder_ffn_dim": 10, "encoder_attention_heads": 3, "decoder_attention_heads": 3, "pad_token_id": PAD,
    "decoder_start_token_id": END, "eos_token_id": END, "forced_eos_token_id": None,
}  # fmt: skip
T5 = {
    "vocab_size": 40, "d_model": 12, "d_kv": 5, "d_ff": 10, "num_layers": 2, "num_decoder_layers": 1,
    "num_heads": 3, "pad_token_id": PAD, "decoder_start_token_id": PAD, "eos_token_id": END,
    "relative_attention_num_buckets": 8, "relative_attention_max_distance": 7,
}  # fmt: skip
GATED = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
MODELS = {
    "bart": (transformers.BartForConditionalGeneration, TRANSLATOR),
    "mbart": (transformers.MBartForConditionalGeneration, {**TRANSLATOR, "scale_embedding": True}),
    "m2m100": (transformers.M2M100ForConditionalGeneration, TRANSLATOR),
    "pegasus": (
        transformers.PegasusForConditionalGeneration,
        {**TRANSLATOR, "decoder_start_token_id": PAD, "scale_embedding": True},
    ),
    "t5": (transformers.T5ForConditionalGeneration, T5),
    "flan-t5": (transformers.T5ForConditionalGeneration, {**T5, **GATED}),
    "umt5": (transformers.UMT5ForConditionalGeneration, T5),
    "t5-encoder": (transformers.T5EncoderModel, {**T5, "decoder_start_token_id": None}),
    "bert": (transformers.BertModel, BERT),
    "distilbert": (transformers.DistilBertModel, DISTIL),
    "bert-classifier": (
        transformers.BertForSequenceClassification,
        {**BERT, "id2label": {0: "World", 1: "Sports", 2: "Science"}},
    ),
    "bert-pretraining": (transformers.BertForPreTraining, BERT),
    "bert-next-sentence": (transformers.BertForNextSentencePrediction, BERT),
    "bert-tokens": (
        transformers.BertForTokenClassification,
        {**BERT, "id2label": {0: "O", 1: "B-PER", 2: "I-PER"}},
    ),
    "bert-reranker": (transformers.BertForSequenceClassification, {**BERT, "num_labels": 1}),
    "distilbert-answers": (transformers.DistilBertForQuestionAnswering, DISTIL),
    "bigbird-answers": (
        transformers.BigBirdForQuestionAnswering,
        {**BERT, "block_size": 1, "num_random_blocks": 1, "sep_token_id": 2},
    ),
    "distilbert-words": (transformers.DistilBertForMaskedLM, DISTIL),
    "roberta-words": (transformers.RobertaForMaskedLM, {**BERT, "type_vocab_size": 1}),
    "xlm-roberta-classifier": (transformers.XLMRobertaForSequenceClassification, {**BERT, **LABELS}),
    "camembert": (transformers.CamembertModel, BERT),
    "electra-words": (transformers.ElectraForMaskedLM, {**BERT, "embedding_size": 8}),
    "electra-classifier": (
        transformers.ElectraForSequenceClassification, {**BERT, "embedding_size": 12, **LABELS}
    ),
    "mpnet": (transformers.MPNetModel, BERT),
    "mpnet-words": (transformers.MPNetForMaskedLM, BERT),
    "albert-words": (transformers.AlbertForMaskedLM, {**BERT, "embedding_size": 8}),
    "albert": (transformers.AlbertModel, {**BERT, "embedding_size": 8, "inner_group_num": 2}),
    "deberta-words": (transformers.DebertaV2ForMaskedLM, {**BERT, **DEBERTA}),
    "deberta-classifier": (
        transformers.DebertaV2ForSequenceClassification,
        {**BERT, **DEBERTA, "share_att_key": False, "conv_kernel_size": 3, **LABELS},
    ),
    "modernbert-words": (transformers.ModernBertForMaskedLM, {**BERT, **MODERN}),
    "modernbert-classifier": (
        transformers.ModernBertForSequenceClassification, {**BERT, **MODERN, **LABELS}
    ),
    "nomic": (transformers.NomicBertModel, BERT),
    "bigbird": (
        transformers.BigBirdModel,
        {**BERT, "block_size": 1, "num_random_blocks": 1, "sep_token_id": 2},
    ),
    "gpt2": (
        transformers.GPT2LMHeadModel,
        {"vocab_size": 40, "n_positions": 12, "n_embd": 12, "n_layer": 2, "n_head": 3, "bos_token_id": None,
         "eos_token_id": None},
    ),
    "gpt2-classifier": (
        transformers.GPT2ForSequenceClassification,
        {"vocab_size": 40, "n_positions": 12, "n_embd": 12, "n_layer": 2, "n_head": 3, "pad_token_id": PAD,
         "bos_token_id": None, "eos_token_id": None, "id2label": {0: "World", 1: "Sports", 2: "Science"}},
    ),
    "marian": (
        transformers.MarianMTModel,
        {**SIZES, "d_model": 12, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 10,
         "decoder_ffn_dim": 10, "encoder_attention_heads": 3, "decoder_attention_heads": 3,
         "pad_token_id": PAD, "decoder_start_token_id": PAD, "eos_token_id": END, "forced_eos_token_id": None,
         "activation_function": "swish"},
    ),
}  # fmt: skip
# What outputs are called here.
OUTPUTS = {
    "last_hidden_state": "sequence_output",
    "pooler_output": "pooled_output",
    "logits": "logits",
    "prediction_logits": "logits",
    "seq_relationship_logits": "next_sentence",
    "start_logits": "start",
    "end_logits": "end",
}

TRANSLATORS = ("bart", "mbart", "m2m100", "pegasus", "marian")
T5_NAMES = ("t5", "flan-t5", "umt5")
for name in sys.argv[1:] or MODELS:
    make, options = MODELS[name]
    torch.manual_seed(0)
    model = make(make.config_class(**options)).eval()
    for path, parameter in model.named_parameters():
        if parameter.requires_grad:
            around = float(name in (*TRANSLATORS, *T5_NAMES) and "norm" in path and path.endswith(".weight"))
            torch.nn.init.normal_(parameter, mean=around, std=0.3)
    ids = torch.randint(4, 40, (3, 9))
    mask = torch.arange(9)[None] < torch.tensor([[9], [5], [1]])
    if name == "gpt2-classifier":
        ids = torch.where(mask, ids, PAD)  # by which it finds the last token
    given, more = {"input_ids": ids, "attention_mask": mask.long()}, {}
    if name in ("bert-pretraining", "bert-next-sentence"):
        given["token_type_ids"] = (torch.arange(9) > 3).long()[None].repeat(3, 1)
        more = {"segment_ids": given["token_type_ids"].numpy()}
    if name == "bigbird-answers":
        ids[:, 3] = 2  # what ends the question, which it masks
        given["token_type_ids"] = (torch.arange(9) > 3).long()[None].repeat(3, 1)
        more = {"segment_ids": given["token_type_ids"].numpy()}
    if name in TRANSLATORS:
        # The source shall matter, and some translation end.
        for layer in model.model.decoder.layers:
            layer.encoder_attn.out_proj.weight.data *= 5
        if name != "m2m100":
            torch.nn.init.normal_(model.final_logits_bias, std=0.3)
            model.final_logits_bias[0, END] += 2
        first = None if name == "marian" else 7
        model.generation_config.update(num_beams=4, bad_words_ids=[[PAD]], forced_bos_token_id=first)
        if name == "bart":
            model.generation_config.update(no_repeat_ngram_size=2, min_length=6)
    if name in T5_NAMES:
        for layer in model.decoder.block:
            layer.layer[1].EncDecAttention.o.weight.data *= 5
        if name == "flan-t5":
            model.lm_head.weight = torch.nn.Parameter(torch.randn(40, 12) * 0.3)
        model.generation_config.update(num_beams=4, bad_words_ids=[[PAD]], forced_bos_token_id=7)
    if name in (*TRANSLATORS, *T5_NAMES):
        tokens = model.generate(**given, early_stopping=True, max_new_tokens=8)
        given["decoder_input_ids"] = tokens[:, :-1]
        more = {"tokens": tokens.numpy()}
    model.save_pretrained(FOLDER / name)
    with torch.no_grad():
        found = model(**given)
    more |= {ours: found[theirs].numpy() for theirs, ours in OUTPUTS.items() if theirs in found}
    np.savez(FOLDER / name / "expected.npz", token_ids=ids.numpy(), padding_mask=mask.numpy(), **more)
