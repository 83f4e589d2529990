"""Tiny language models with random weights and a byte-level tokenizer, shared by the tests."""

import functools

from tiny_models import scratch, sentences, stir

WINDOWS = ((4, 6), (9, 7))


@functools.cache
def prompt_tokenizer():
    """GPT-2's kind of tokenizer, trained on the sentences of the tests."""
    from keras_attn.data.byte_tokenizer import GPT_TOKENS, ids_of, train_byte_tokenizer
    from keras_attn.device.text.tokenizer import PromptTokenizer

    trained = train_byte_tokenizer(sentences(), 290, GPT_TOKENS)
    return PromptTokenizer(trained, ids_of(trained, GPT_TOKENS, "the tokenizer"))


@functools.cache
def tiny_language_model(name: str):
    """A model: `gpt2`, or `window` (GPT-3's pattern, odd sizes, an output layer of its own)."""
    import keras

    from keras_attn.models import GPT2, CausalLM

    keras.utils.set_random_seed(11)
    sizes = {
        "vocabulary_size": prompt_tokenizer().tokenizer.get_vocab_size(),
        "num_layers": 2,
        "num_heads": 2,
        "hidden_dim": 16,
        "intermediate_dim": 24,
        "max_sequence_length": 16,
    }
    if name == "window":
        odd = {"num_layers": 3, "num_heads": 3, "hidden_dim": 18, "activation": "relu"}
        backbone = GPT2(**{**sizes, **odd}, local_window=3)
    else:
        backbone = GPT2(**sizes)
    model = CausalLM(backbone, tie_output=name != "window")
    stir(model)
    for variable in model.variables:  # GPT-2 begins so small that no token matters much
        if variable.path.endswith(("embeddings", "kernel", "matrix")):
            variable.assign(5.0 * variable.value)
    return model


@functools.cache
def language_bundle(name: str, recipe: str = "fp32", heads: bool = False):
    """The model's bundle."""
    from keras_attn_export import export
    from tiny_models import in_process

    path = scratch() / f"language-{name}-{recipe}-{heads}"
    with in_process():
        export(
            tiny_language_model(name),
            path,
            recipe,
            tokenizer=prompt_tokenizer(),
            examples=sentences()[:40],
            buckets=WINDOWS,
            heads=heads,
            proof_sentences=8,
            conversions=scratch() / "conversions",
        )
    return path
