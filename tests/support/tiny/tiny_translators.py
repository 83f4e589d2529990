"""Tiny random checkpoints of BART's and T5's relatives with tokenizers, and transformers' outputs."""

import json

from tiny_pieces import ENGLISH, GERMAN, RULES, sentences, train

SIZES = {
    "d_model": 24, "encoder_layers": 1, "decoder_layers": 2, "encoder_ffn_dim": 20, "decoder_ffn_dim": 20,
    "encoder_attention_heads": 3, "decoder_attention_heads": 3, "max_position_embeddings": 48,
}  # fmt: skip
# Heads of T5 need not fill up the depth.
T5_SIZES = {"d_model": 24, "d_kv": 5, "d_ff": 20, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 3}
MODELS = {
    "bart": "Bart",
    "mbart": "MBart",
    "mbart50": "MBart",
    "nllb": "M2M100",
    "nllb-legacy": "M2M100",
    "m2m100": "M2M100",
    "small100": "M2M100",
    "pegasus": "Pegasus",
    "t5": "T5",
    "flan-t5": "T5",
    "mt5": "MT5",
    "umt5": "UMT5",
}
T5 = ("t5", "flan-t5", "mt5", "umt5")
# Pairs of languages to try.
PAIRS = {
    "bart": [(None, None)],
    "pegasus": [(None, None)],
    **{kind: [(None, None)] for kind in T5},
    "mbart": [("en_XX", "de_DE"), ("fr_XX", "ro_RO")],
    "mbart50": [("en_XX", "de_DE"), ("pt_XX", "sl_SI")],
    "nllb": [("eng_Latn", "deu_Latn"), ("zho_Hans", "fra_Latn")],
    "nllb-legacy": [("eng_Latn", "deu_Latn"), ("zho_Hans", "fra_Latn")],
    "m2m100": [("en", "de"), ("fr", "zh")],
    "small100": [(None, "de"), (None, "zh")],
}
NLLB = ["ace_Latn", "deu_Latn", "eng_Latn", "fra_Latn", "zho_Hans", "zho_Hant"]
LINES = [*sentences(ENGLISH, 300), *sentences(GERMAN, 300)]


def write_tokenizer(kind, folder, size=200):
    """Write the files of a tokenizer, and return transformers' of them."""
    import transformers

    (folder / "rules.tsv").write_text(RULES, encoding="utf-8")
    options = {"normalization_rule_tsv": str(folder / "rules.tsv"), "size": size}
    pieces = folder / "sentencepiece.bpe.model"
    if kind == "bart":
        from tokenizers import ByteLevelBPETokenizer

        made = ByteLevelBPETokenizer()
        special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        made.train_from_iterator(LINES, vocab_size=400, special_tokens=special)
        made.save_model(str(folder))
        named = json.dumps({"tokenizer_class": "BartTokenizer"})
        (folder / "tokenizer_config.json").write_text(named, encoding="utf-8")
        return transformers.BartTokenizer.from_pretrained(str(folder))
    if kind in ("m2m100", "small100"):
        import sentencepiece

        train(pieces, LINES, model_type="bpe", size=size)
        model = sentencepiece.SentencePieceProcessor(model_file=str(pieces))
        own = [model.id_to_piece(i) for i in range(3, model.get_piece_size() - 10)]  # some are unknown
        numbers = {token: i for i, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", *own])}
        (folder / "vocab.json").write_text(json.dumps(numbers, ensure_ascii=False), encoding="utf-8")
        made = transformers.M2M100Tokenizer(str(folder / "vocab.json"), str(pieces))
        made.save_pretrained(str(folder))
        if kind == "small100":
            (folder / "tokenization_small100.py").write_text("# the class\n", encoding="utf-8")
        return made
    config, name = {}, {"mbart": "MBartTokenizer", "mbart50": "MBart50Tokenizer"}.get(kind, "NllbTokenizer")
    if kind == "pegasus":
        name, pieces = "PegasusTokenizer", folder / "spiece.model"
        options |= {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
    elif kind in T5:
        name, pieces = "T5Tokenizer", folder / "spiece.model"
        options |= {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
        config = {"extra_ids": 0 if kind == "mt5" else 7}
    elif name == "NllbTokenizer":
        options["model_type"] = "bpe"
        config = {"additional_special_tokens": NLLB, "legacy_behaviour": kind == "nllb-legacy"}
    train(pieces, LINES, **options)
    content = json.dumps({"tokenizer_class": name, **config})
    (folder / "tokenizer_config.json").write_text(content, encoding="utf-8")
    return getattr(transformers, name).from_pretrained(str(folder))


def write_checkpoint(kind, folder, end=3.0, **search):
    """Write a checkpoint with its tokenizer; return transformers' model and tokenizer.

    Args:
        kind: one of `MODELS`.
        folder: where to, an empty folder.
        end: how much likelier the end token is made, where the logits have a bias.
        **search: options of generation_config.json.
    """
    import torch
    import transformers

    tokenizer = write_tokenizer(kind, folder)
    further = 108 if kind in ("m2m100", "small100") else 0  # languages and what fills up
    more = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False} if kind == "flan-t5" else {}
    sizes = {**T5_SIZES, **more, "decoder_start_token_id": 0} if kind in T5 else SIZES
    config = getattr(transformers, f"{MODELS[kind]}Config")(vocab_size=len(tokenizer) + further, **sizes)
    torch.manual_seed(1)
    model = getattr(transformers, f"{MODELS[kind]}ForConditionalGeneration")(config).eval()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and not (kind == "pegasus" and "embed_positions" in name):
            torch.nn.init.normal_(parameter, mean=float("norm" in name and name.endswith("weight")), std=0.3)
            # The source shall matter.
            parameter.data *= 5 if "encoder_attn.out_proj.weight" in name else 1
            parameter.data *= 3 if "EncDecAttention.o.weight" in name else 1
            # T5's queries are small, because its scores are not scaled.
            parameter.data *= 0.3 if "Attention.q.weight" in name else 1
    if kind in ("flan-t5", "mt5"):
        output = torch.nn.Parameter(torch.randn_like(model.lm_head.weight) * 0.3)
        output.data[tokenizer.eos_token_id] *= 2  # it ends some texts
        model.lm_head.weight = output
    if hasattr(model, "final_logits_bias"):
        torch.nn.init.normal_(model.final_logits_bias, std=0.3)
        model.final_logits_bias[0, tokenizer.eos_token_id] += end
    options = model.generation_config
    options.update(num_beams=4, early_stopping=True)
    if kind == "bart":
        options.forced_bos_token_id = 0
    if kind.startswith("mbart"):
        start = 2 if kind == "mbart50" else tokenizer.convert_tokens_to_ids("de_DE")
        options.decoder_start_token_id = model.config.decoder_start_token_id = start
    options.update(**search)
    model.save_pretrained(str(folder))
    if kind not in ("m2m100", "small100"):
        tokenizer.save_pretrained(str(folder))
    return model, tokenizer


def translated(kind, model, tokenizer, text, pair, beam, limit):
    """Return the source ids and the produced ones, without special ones, as transformers has them."""
    source, target = pair
    more = {}
    if target is not None:
        tokenizer.src_lang = target if kind == "small100" else source
        token = f"__{target}__" if kind == "m2m100" else target
        if kind == "mbart":
            more["decoder_start_token_id"] = tokenizer.convert_tokens_to_ids(token)
        elif kind != "small100":
            more["forced_bos_token_id"] = tokenizer.convert_tokens_to_ids(token)
    given = tokenizer(text, return_tensors="pt")
    given.pop("token_type_ids", None)
    options = {"num_beams": beam, "max_new_tokens": limit, "early_stopping": beam > 1}
    produced = model.generate(**given, **options, **more)[0].tolist()[1:]
    if more.get("forced_bos_token_id", model.generation_config.forced_bos_token_id) is not None:
        produced = produced[1:]
    end = tokenizer.eos_token_id
    return given["input_ids"][0].tolist(), produced[: produced.index(end)] if end in produced else produced
