"""One training step of each contestant of `train.py`: forward, backward and Adam, on the same batch.

Each of `ours`, `keras_hub` and `transformers` returns a function that takes one step and returns its loss.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Step = Callable[[], float]


@dataclass(frozen=True)
class Case:
    """A model and a batch; a BERT predicts `places` words of each row, a translator all of them."""

    depth: int
    hidden: int
    heads: int
    layers: int
    vocabulary: int
    rows: int
    length: int
    places: int = 0
    dropout: float = 0.1
    smoothing: float = 0.1
    precision: str = "float32"

    @property
    def tokens(self) -> int:
        """Tokens that a step reads, or writes."""
        return self.rows * self.length

    def batch(self) -> dict[str, np.ndarray]:
        """Draw a batch, the same for all."""
        rng, shape = np.random.default_rng(0), (self.rows, self.length)
        drawn = {
            name: rng.integers(3, self.vocabulary, shape).astype("int32") for name in ("source", "target")
        }
        exists = np.arange(self.length) < self.length - np.arange(self.rows)[:, None] % (self.length // 4)
        found = {"source": np.where(exists, drawn["source"], 0), "exists": exists, "target": drawn["target"]}
        if self.places:
            found["positions"] = np.sort(rng.integers(0, self.length // 2, (self.rows, self.places))).astype(
                "int32"
            )
            found["words"] = drawn["target"][:, : self.places]
        return found


def cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gemm_peak(backend: str, precision: str) -> float:
    """Measure the largest rate of one matrix product, in FLOP/s."""
    size = 1536
    if backend == "torch":
        import torch  # pyright: ignore[reportMissingImports]  # the `parity` extra

        on_gpu = torch.cuda.is_available()
        size = 8192 if on_gpu else size
        a = torch.randn(size, size, dtype=getattr(torch, precision), device="cuda" if on_gpu else "cpu")
        run = lambda: (a @ a)[0, 0].item()  # noqa: E731
    elif backend == "jax":
        import jax

        size = 8192 if jax.default_backend() == "gpu" else size
        x, product = jax.numpy.ones((size, size), precision), jax.jit(lambda x: x @ x)
        run = lambda: jax.block_until_ready(product(x))  # noqa: E731
    else:
        import tensorflow as tf

        tensor = tf.ones((size, size), precision)
        run = lambda: tf.linalg.matmul(tensor, tensor)[0, 0].numpy()  # noqa: E731
    times = []
    for _ in range(10):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return 2 * size**3 / min(times)


def ours(case: Case) -> Step:
    """Build our step, as `keras-attn train` takes it."""
    import keras

    from keras_attn import models
    from keras_attn.training.optimization.objectives import TokenObjective

    sizes: dict[str, Any] = {
        "hidden_dim": case.depth,
        "intermediate_dim": case.hidden,
        "num_heads": case.heads,
    }
    sizes |= {"dropout": case.dropout, "attention_dropout": case.dropout}
    batch = case.batch()
    if case.places:
        backbone = models.Bert(case.vocabulary, case.layers, pooler=False, **sizes)
        model = models.MaskedLM(backbone)
        inputs = {
            "token_ids": batch["source"],
            "padding_mask": batch["exists"],
            "mask_positions": batch["positions"],
        }
        targets = batch["words"]
    else:
        layers: dict[str, Any] = {"num_encoder_layers": case.layers, "num_decoder_layers": case.layers}
        model = models.Transformer(case.vocabulary, **sizes, **layers)
        inputs = {"encoder_token_ids": batch["source"], "encoder_padding_mask": batch["exists"]}
        inputs["decoder_token_ids"], targets = batch["target"], batch["target"]
    task = TokenObjective(model, case.smoothing)
    task.compile(optimizer=keras.optimizers.Adam(1e-4), jit_compile=True)
    weights = np.ones(targets.shape, "float32")
    return lambda: float(task.train_on_batch(inputs, targets, sample_weight=weights))


def keras_hub(case: Case) -> Step:
    """Build a step of KerasHub's BERT, or of a translator of its layers."""
    import keras
    import keras_hub as hub  # pyright: ignore[reportMissingImports]  # the `parity` extra
    from keras import ops

    batch = case.batch()
    if case.places:
        backbone = hub.models.BertBackbone(
            case.vocabulary, case.layers, case.heads, case.depth, case.hidden, dropout=case.dropout
        )
        model: Any = hub.models.BertMaskedLM(backbone, preprocessor=None)
        inputs: Any = {"token_ids": batch["source"], "segment_ids": np.zeros_like(batch["source"])}
        inputs |= {"padding_mask": batch["exists"], "mask_positions": batch["positions"]}
        targets = batch["words"]
    else:
        model, inputs, targets = hub_translator(case), [batch["source"], batch["target"]], batch["target"]

    def loss(y, logits):
        logits = ops.cast(logits, "float32")
        hit = ops.take_along_axis(logits, ops.expand_dims(ops.cast(y, "int32"), -1), axis=-1)[..., 0]
        smooth = ops.mean(logits, axis=-1)
        return ops.logsumexp(logits, axis=-1) - (1 - case.smoothing) * hit - case.smoothing * smooth

    model.compile(optimizer=keras.optimizers.Adam(1e-4), loss=loss, jit_compile=True, weighted_metrics=[])
    return lambda: float(np.asarray(model.train_on_batch(inputs, targets)))


def hub_translator(case: Case) -> Any:
    """Put KerasHub's layers together, pre-norm, with tied embeddings."""
    import keras
    import keras_hub as hub  # pyright: ignore[reportMissingImports]  # the `parity` extra

    source, target = (keras.Input((case.length,), dtype="int32") for _ in range(2))
    embedding = hub.layers.TokenAndPositionEmbedding(
        case.vocabulary, case.length, case.depth, tie_weights=True
    )
    drop, exists = keras.layers.Dropout(case.dropout), keras.ops.not_equal(source, 0)
    block = {"dropout": case.dropout, "normalize_first": True}
    x, y = drop(embedding(source)), drop(embedding(target))
    for _ in range(case.layers):
        x = hub.layers.TransformerEncoder(case.hidden, case.heads, **block)(x, padding_mask=exists)
    x = keras.layers.LayerNormalization()(x)
    for _ in range(case.layers):
        y = hub.layers.TransformerDecoder(case.hidden, case.heads, **block)(y, x, encoder_padding_mask=exists)
    y = keras.layers.LayerNormalization()(y)
    return keras.Model([source, target], embedding.token_embedding(y, reverse=True))


def transformers(case: Case) -> Step:
    """Build a step of Hugging Face's BERT or Marian; on a GPU compiled by torch."""
    import torch  # pyright: ignore[reportMissingImports]  # the `parity` extra

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(cores())
    batch = {name: torch.from_numpy(array).to(device) for name, array in case.batch().items()}
    source, target, exists = batch["source"].long(), batch["target"].long(), batch["exists"].long()
    if case.places:
        model, rows = hub_bert(case).to(device), torch.arange(case.rows, device=device)[:, None]
        positions, words = batch["positions"].long(), batch["words"].long()

        def logits():
            x = model.bert(input_ids=source, attention_mask=exists).last_hidden_state
            return model.cls(x[rows, positions]), words  # only at the masks, like the others
    else:
        model = marian(case).to(device)

        def logits():
            return model(input_ids=source, attention_mask=exists, decoder_input_ids=target).logits, target

    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=device == "cuda")

    def loss():
        with torch.autocast(device, torch.bfloat16, enabled=case.precision == "bfloat16"):
            scores, wanted = logits()
            scores = scores.float().flatten(0, 1)
            return torch.nn.functional.cross_entropy(scores, wanted.flatten(), label_smoothing=case.smoothing)

    loss = torch.compile(loss) if device == "cuda" else loss

    def step():
        found = loss()
        found.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return found.item()

    return step


def hub_bert(case: Case) -> Any:
    """Build Hugging Face's BERT."""
    from transformers import BertConfig, BertForMaskedLM  # pyright: ignore[reportMissingImports]  # `parity`

    return BertForMaskedLM(
        BertConfig(
            vocab_size=case.vocabulary,
            hidden_size=case.depth,
            num_hidden_layers=case.layers,
            num_attention_heads=case.heads,
            intermediate_size=case.hidden,
            hidden_dropout_prob=case.dropout,
            attention_probs_dropout_prob=case.dropout,
        )
    )


def marian(case: Case) -> Any:
    """Build Hugging Face's Marian."""
    from transformers import MarianConfig, MarianMTModel  # pyright: ignore[reportMissingImports]  # `parity`

    sides: dict[str, Any] = {}
    for side in ("encoder", "decoder"):
        sides |= {
            f"{side}_layers": case.layers,
            f"{side}_attention_heads": case.heads,
            f"{side}_ffn_dim": case.hidden,
        }
    return MarianMTModel(
        MarianConfig(
            vocab_size=case.vocabulary,
            d_model=case.depth,
            dropout=case.dropout,
            attention_dropout=case.dropout,
            activation_dropout=0.0,
            activation_function="relu",
            pad_token_id=0,
            eos_token_id=2,
            decoder_start_token_id=1,
            **sides,
        )
    )
