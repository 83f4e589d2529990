"""The models that `ctranslate2_decode.py` compares, random weights in the shape of MarianMT or T5.

A checkpoint of Hugging Face's is written once, and from it CTranslate2's files and ours. Both are also asked
with a shortlist, the same for both: an output then is made of few words, which is another, easier task.
"""

import json
import os
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from contestants import t5

from keras_attn.device.runtime.interpreter import Model
from keras_attn.device.search.batch_search import search_batch
from keras_attn.device.search.beam_search import SearchConfig
from keras_attn.device.search.decoder import LiteRTStepModel
from keras_attn.device.search.search import search
from keras_attn.device.search.shortlist import Shortlist, ShortlistedStepModel

SHAPES = {  # units, encoder and decoder layers, heads, hidden units of the feed-forward net, vocabulary
    "tiny": (128, 4, 4, 4, 256, 8001),
    "bergamot": (256, 6, 2, 8, 1536, 32001),
    "opus": (512, 6, 6, 8, 2048, 32001),
    "opus-58k": (512, 6, 6, 8, 2048, 58101),
    "t5-small": (512, 6, 6, 8, 2048, 32128),
    "flan-t5-base": (768, 12, 12, 12, 2048, 32128),
}
SOURCE, BUCKETS = 20, ((16, 32), (24, 48), (32, 64))
BEAM = 4
TOGETHER = 16
FREQUENT, BEST, CANDIDATES = 100, 50, 1088  # as exports choose them; room for those of SOURCE tokens
MODEL_FILE, SHORT_FILE, BATCH_FILE = "model.tflite", "shortlist.tflite", f"batch-{TOGETHER}.tflite"
CHECKPOINT, CTRANSLATE2, CTRANSLATE2_SHORT = "huggingface", "ctranslate2", "ctranslate2-vmap"
OURS, THEIRS, FP32 = "keras-attn int8", "CTranslate2 int8", "Hugging Face fp32"
OURS_SHORT, THEIRS_SHORT = f"{OURS} shortlist", f"{THEIRS} shortlist"


def write_checkpoint(shape: str, folder: Path) -> None:
    """Write a checkpoint whose attention and outputs are neither flat nor certain."""
    if t5.is_t5(shape):
        t5.write_checkpoint(shape, SHAPES[shape], folder)
        return
    import torch  # pyright: ignore[reportMissingImports]  # the `parity` extra
    from transformers import MarianConfig, MarianMTModel  # pyright: ignore[reportMissingImports]

    units, encoders, decoders, heads, hidden, vocabulary = SHAPES[shape]
    torch.manual_seed(0)
    sides: dict[str, Any] = {
        f"{side}_{name}": value
        for side, layers in (("encoder", encoders), ("decoder", decoders))
        for name, value in (("layers", layers), ("attention_heads", heads), ("ffn_dim", hidden))
    }
    config = MarianConfig(
        vocab_size=vocabulary, decoder_vocab_size=vocabulary, d_model=units, activation_function="swish",
        scale_embedding=True, max_position_embeddings=512, pad_token_id=vocabulary - 1, eos_token_id=0,
        decoder_start_token_id=vocabulary - 1, forced_eos_token_id=None, **sides,
    )  # fmt: skip
    model = MarianMTModel(config).eval()
    gains = {"fc1": 4.0, "fc2": 4.0, "q_proj": 3.0, "k_proj": 3.0, "encoder_attn.out_proj": 0.35}
    with torch.no_grad():
        for name, weights in model.named_parameters():
            noise = torch.randn_like(weights)
            if "embed_positions" in name:
                continue
            if "norm" in name:
                weights.copy_(0.1 * noise + (1.0 if name.endswith("weight") else 0.0))
            elif name.endswith("bias"):
                weights.copy_(0.05 * noise)
            elif weights.shape[0] == vocabulary:
                weights.copy_(noise * units**-0.5)
                weights[-1] = 0  # Marian's decoder starts from padding, and padding is zero.
            else:
                gain = next((value for part, value in gains.items() if part in name), 1.0)
                weights.copy_(noise * (gain / weights.shape[1]) ** 0.5)
        model.final_logits_bias.copy_(0.1 * torch.randn(1, vocabulary))
        # Neither the end nor padding comes, so that every output has the wanted length.
        model.final_logits_bias[0, [0, vocabulary - 1]] = -1e4
    model.save_pretrained(folder)


def write_ctranslate2(shape: str, checkpoint: Path, folder: Path) -> None:
    """Convert the checkpoint to CTranslate2's int8; its tokens are called by their numbers."""
    from ctranslate2.converters.converter import Converter  # pyright: ignore[reportMissingImports]
    from ctranslate2.converters.transformers import MarianMTLoader  # pyright: ignore[reportMissingImports]
    from transformers import MarianMTModel  # pyright: ignore[reportMissingImports]

    class FromCheckpoint(Converter):
        def _load(self) -> Any:
            # A MarianMT's padding has no place in CTranslate2's vocabulary.
            size = SHAPES[shape][-1] - (not t5.is_t5(shape))
            tokens = [str(token) for token in range(size)]
            if t5.is_t5(shape):
                spec, start = t5.ctranslate2_spec(checkpoint), tokens[-1]
            else:
                spec = MarianMTLoader().get_model_spec(MarianMTModel.from_pretrained(checkpoint))
                start = tokens[0]
            spec.config.eos_token = tokens[0]
            spec.config.bos_token = spec.config.decoder_start_token = start
            spec.config.unk_token = tokens[1]
            spec.register_source_vocabulary(tokens)
            spec.register_target_vocabulary(tokens)
            return spec

    FromCheckpoint().convert(str(folder), quantization="int8")


def made_up_shortlist(shape: str) -> Shortlist:
    """Return separate translations for each source token: more than in a text, whose words share some."""
    vocabulary = SHAPES[shape][-1]
    targets = np.random.default_rng(0).integers(1, vocabulary - 1, vocabulary * BEST).astype(np.int32)
    offsets = np.arange(vocabulary + 1, dtype=np.int32) * BEST
    return Shortlist(np.arange(FREQUENT, dtype=np.int32), offsets, targets)


def write_ctranslate2_shortlist(shape: str, model: Path, folder: Path) -> None:
    """Write the shortlist as CTranslate2's "vocabulary mapping" beside links to the model's files."""
    shortlist = made_up_shortlist(shape)
    folder.mkdir()
    for file in model.iterdir():
        (folder / file.name).symlink_to(os.path.relpath(file, folder))
    with (folder / "vmap.txt").open("w", encoding="utf-8") as file:
        file.write("\t" + " ".join(map(str, shortlist.frequent)) + "\n")  # whatever the source
        for token, targets in enumerate(shortlist.targets.reshape(-1, BEST)):
            file.write(f"{token}\t" + " ".join(map(str, targets)) + "\n")


def write_ours(
    checkpoint: Path, file: Path, recipe: str = "int8", together: int = 1, shortlist: int = 0
) -> None:
    """Lower, convert and quantize the checkpoint as an export does.

    Args:
        checkpoint: Hugging Face's folder.
        file: the `.tflite` to write; what a manifest says of its signatures goes beside it as JSON.
        recipe: as for `keras-attn export`.
        together: sentences for which there are steps.
        shortlist: candidates for which there are steps.
    """
    from keras_attn_export.buckets import Bucket, batch_sizes, sharing_steps
    from keras_attn_export.proof.decoder_run import decoder_layout

    from keras_attn import pretrained

    buckets, rows = sharing_steps(Bucket(*lengths) for lengths in BUCKETS), [1, BEAM]
    batches = [[size, beams] for beams in rows for size in batch_sizes(together)]
    options = {"rows": rows, "batches": batches, "shortlist": shortlist}
    lower(pretrained.load(checkpoint), file, recipe, buckets, options)
    layout = decoder_layout(buckets, rows, short=bool(shortlist), batches=batches)
    file.with_suffix(".json").write_text(json.dumps(layout), "utf-8")


def lower(model: Any, file: Path, recipe: str, buckets: list[Any], options: dict[str, Any]) -> None:
    """Lower, convert and quantize a `Transformer` or `T5` to a `.tflite` with steps as the options say."""
    from keras_attn_export.recipes import find_recipe
    from keras_attn_export.tflite.convert import convert, find_lowering

    with tempfile.TemporaryDirectory() as work:
        done = convert(
            Path(work),
            config=model.get_config(),
            weights={
                v.path.partition("/")[2]: np.asarray(v.value) for v in model.weights if "seed" not in v.path
            },
            lowering=find_lowering(type(model).__name__),
            buckets=buckets,
            options=options,
            recipe=find_recipe(recipe),
        )
        done.quantized.replace(file)


def build(shape: str, work: Path, names: Collection[str]) -> Path:
    """Write whatever of a shape's models is missing; `names` are files and folders."""
    folder = work / shape
    folder.mkdir(parents=True, exist_ok=True)
    for name, write in (
        (CHECKPOINT, lambda path: write_checkpoint(shape, path)),
        (CTRANSLATE2, lambda path: write_ctranslate2(shape, folder / CHECKPOINT, path)),
        (MODEL_FILE, lambda path: write_ours(folder / CHECKPOINT, path)),
        (BATCH_FILE, lambda path: write_ours(folder / CHECKPOINT, path, together=TOGETHER)),
        (SHORT_FILE, lambda path: write_ours(folder / CHECKPOINT, path, shortlist=CANDIDATES)),
        (CTRANSLATE2_SHORT, lambda path: write_ctranslate2_shortlist(shape, folder / CTRANSLATE2, path)),
    ):
        if name in names and not (folder / name).exists():
            print(f"{shape}: writing {name}", file=sys.stderr, flush=True)
            write(folder / name)
    return folder


class Ours:
    """The lowered model under the device's own search."""

    needs = (CHECKPOINT, MODEL_FILE)

    def __init__(self, folder: Path, threads: int, batch: int):
        self.start = SHAPES[folder.name][-1] - 1
        self.steps = self.opened(folder, threads, batch)

    def opened(self, folder: Path, threads: int, batch: int) -> LiteRTStepModel:
        """Open the step model."""
        return LiteRTStepModel(*_model(folder, MODEL_FILE if batch == 1 else BATCH_FILE, threads), self.start)

    def decode(self, sources: list[list[int]], beam: int, length: int) -> list[list[int]]:
        """Translate, giving each output's tokens."""
        rules = SearchConfig(self.start, 0, beam, 1, 1.0, False, frozenset(), False)
        if batch := self.steps.batch(beam):
            return [best.ids for [best] in search_batch(batch, sources, [length] * len(sources), rules)]
        found = []
        for source in sources:
            ids = np.array([source], np.int32)
            options: dict[str, Any] = {"start_id": self.start, "end_id": 0, "beam": beam}
            mask = np.ones(ids.shape, bool)
            [[best]] = search(self.steps.for_length(length), ids, mask, max_length=length, **options)
            found.append(best.ids)
        return found


class OursShort(Ours):
    """The same with a shortlist; of several sentences one after the other."""

    needs = (CHECKPOINT, SHORT_FILE)

    def opened(self, folder: Path, threads: int, batch: int) -> LiteRTStepModel:
        """Open the step model."""
        model, layout = _model(folder, SHORT_FILE, threads)
        return ShortlistedStepModel(model, layout, self.start, made_up_shortlist(folder.name))


def _model(folder: Path, name: str, threads: int) -> tuple[Model, list[dict[str, Any]]]:
    """Open a file of ours; return what a manifest says of its signatures with it."""
    layout = json.loads((folder / name).with_suffix(".json").read_text("utf-8"))
    return Model(folder / name, threads=threads, weight_cache=folder / "weights"), layout


class Theirs:
    """CTranslate2."""

    needs = (CHECKPOINT, CTRANSLATE2)
    folder, options = CTRANSLATE2, {}

    def __init__(self, folder: Path, threads: int, batch: int):
        import ctranslate2  # pyright: ignore[reportMissingImports]

        self.translator = ctranslate2.Translator(
            str(folder / self.folder), inter_threads=1, intra_threads=threads, compute_type="int8"
        )

    def decode(self, sources: list[list[int]], beam: int, length: int) -> list[list[int]]:
        """Translate, giving each output's tokens."""
        texts = [[str(token) for token in source] for source in sources]
        limits = {"max_decoding_length": length, "min_decoding_length": length}
        options = {"beam_size": beam, **limits, **self.options}
        done = self.translator.translate_batch(texts, max_batch_size=len(texts), **options)
        return [[int(token) for token in each.hypotheses[0]] for each in done]


class TheirsShort(Theirs):
    """The same with a shortlist."""

    needs = (*Theirs.needs, CTRANSLATE2_SHORT)
    folder, options = CTRANSLATE2_SHORT, {"use_vmap": True}


class HuggingFace:
    """transformers on torch, in fp32."""

    needs = (CHECKPOINT,)

    def __init__(self, folder: Path, threads: int, batch: int):
        import torch  # pyright: ignore[reportMissingImports]
        from transformers import AutoModelForSeq2SeqLM  # pyright: ignore[reportMissingImports]

        torch.set_num_threads(threads)
        self.torch = torch
        self.model: Any = AutoModelForSeq2SeqLM.from_pretrained(folder / CHECKPOINT).eval()

    def decode(self, sources: list[list[int]], beam: int, length: int) -> list[list[int]]:
        """Translate, giving each output's tokens."""
        limits = {"min_new_tokens": length, "max_new_tokens": length, "do_sample": False}
        with self.torch.no_grad():
            done = self.model.generate(self.torch.tensor(sources), num_beams=beam, **limits)
        return done[:, 1:].tolist()


CONTESTANTS: dict[str, Any] = {
    OURS: Ours,
    THEIRS: Theirs,
    FP32: HuggingFace,
    OURS_SHORT: OursShort,
    THEIRS_SHORT: TheirsShort,
}
SHORT = (OURS_SHORT, THEIRS_SHORT)
"""Those whose outputs are made of few words."""


def sentences(shape: str, count: int, seed: int) -> list[list[int]]:
    """Return random sources, each with the end token."""
    tokens = np.random.default_rng(seed).integers(1, SHAPES[shape][-1] - 1, (count, SOURCE - 1))
    return [[*row, 0] for row in tokens.tolist()]
