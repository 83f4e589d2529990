"""What a traced step costs beside a lowered one: the same weights, translating the same sentences in turns.

    python benchmarks/traced_steps.py --depth 128 --layers 4

The Transformer of this package is lowered; an empty subclass of it is traced, once with its caches written in
place, and once with caches that each step returns whole. Ratios are medians, over turns, of the processor
time of all sentences, over that of the lowered file.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")  # a script's own class is traced where it is

import dataclasses
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import keras
import numpy as np
import typer
from keras_attn_export.buckets import STEP_PARTS, Bucket, growing
from keras_attn_export.proof.decoder_run import decoder_layout
from keras_attn_export.recipes import find_recipe
from keras_attn_export.tflite.convert import convert, convert_traced, find_lowering
from keras_attn_export.tracing.handover import Traced

from keras_attn.device.runtime.interpreter import Model
from keras_attn.device.search.batch_search import search_batch
from keras_attn.device.search.beam_search import SearchConfig
from keras_attn.device.search.decoder import LiteRTStepModel
from keras_attn.device.search.search import search
from keras_attn.models import Transformer
from keras_attn.models.word_logits import with_row

SOURCE, TARGET, STEPS, SENTENCES, BATCH, BEAM = 32, 64, 40, 8, 8, 4
PAD, START, END = 0, 1, 2


class InPlace(Transformer):
    """Traced, with caches of one row a step."""


class Whole(Transformer):
    """Traced, with caches that are returned whole."""

    caches: Mapping[str, int] = MappingProxyType({})

    def read_token(self, tokens, memory, state):
        """Write the rows in the step itself."""
        hidden, alignment, new = super().read_token(tokens, memory, state)
        written = {
            name: with_row(state[name], row, state["position"], 2)
            for name, row in new.items()
            if name != "position"
        }
        return hidden, alignment, {**new, **written}

    def start(self, source_ids, source_mask, max_length):
        """Begin with the caches of its base."""
        memory, state = super().start(source_ids, source_mask, max_length)
        shape = (source_ids.shape[0], self.num_heads, max_length, self.hidden_dim // self.num_heads)
        names = [f"{kind}_{i:02d}" for i in range(self.num_decoder_layers) for kind in ("key", "value")]
        return memory, {**state, **{name: keras.ops.zeros(shape) for name in names}}


def files(folder: Path, sizes: dict[str, Any], recipe: str) -> dict[str, tuple[Path, Bucket]]:
    """Convert the three; return their files and lengths."""
    keras.utils.set_random_seed(0)
    model, chosen, found = Transformer(**sizes), find_recipe(recipe), {}
    growth = Bucket(SOURCE, TARGET, targets=growing(TARGET, STEP_PARTS))
    options = {"rows": [1, BEAM], "batches": [[BATCH, 1], [BATCH, BEAM]]}
    for name, kind, bucket in (
        ("lowered", Transformer, growth),
        ("traced, rows in place", InPlace, growth),
        ("traced, caches returned", Whole, Bucket(SOURCE, TARGET)),
    ):
        work = folder / kind.__name__
        work.mkdir()
        own = kind(**sizes)
        own.set_weights(model.get_weights())
        if kind is Transformer:
            weights = {each.path.partition("/")[2]: np.asarray(each.value) for each in own.variables}
            weights = {path: array for path, array in weights.items() if "seed_generator" not in path}
            done = convert(
                work,
                config=own.get_config(),
                weights=weights,
                lowering=find_lowering("Transformer"),
                buckets=[bucket],
                options=options,
                recipe=chosen,
            )
        else:
            arguments = {"buckets": [dataclasses.asdict(bucket)], **options}
            done = convert_traced(
                work, Traced(own, "keras_attn_export.tracing.steps:trace", arguments), chosen
            )
        found[name] = (done.quantized, bucket)
    return found


def ways(file: Path, bucket: Bucket, sources: list[np.ndarray]) -> dict[str, Any]:
    """Return what is timed of a file: functions that translate all sentences, and return the tokens."""
    layout = decoder_layout([bucket], [1, BEAM], batches=[[BATCH, 1], [BATCH, BEAM]])
    model = LiteRTStepModel(Model(file, name=file.name), layout, PAD)
    limit = model.for_length(STEPS)

    def alone(beam: int) -> list[list[int]]:
        found = []
        for ids in sources:
            mask = np.ones((1, len(ids)), bool)
            [[best, *_]] = search(
                limit,
                ids[None],
                mask,
                start_id=START,
                end_id=END,
                beam=beam,
                max_length=STEPS,
                suppress=[PAD],
            )
            found.append(best.ids)
        return found

    def together(beam: int) -> list[list[int]]:
        config, batch = (
            SearchConfig(START, END, beam, 1, 1.0, False, frozenset([PAD]), False),
            limit.batch(beam),
        )
        assert batch is not None
        found = search_batch(batch, sources, [STEPS] * len(sources), config)
        return [hypotheses[0].ids for hypotheses in found]

    return {
        "greedy": lambda: alone(1),
        f"beam size {BEAM}": lambda: alone(BEAM),
        f"{BATCH} at a time, greedy": lambda: together(1),
        f"{BATCH} at a time, beam size {BEAM}": lambda: together(BEAM),
    }


def main(
    depth: Annotated[int, typer.Option(min=16)] = 128,
    layers: Annotated[int, typer.Option(min=1)] = 4,
    vocabulary: Annotated[int, typer.Option(min=8)] = 8000,
    recipe: str = "int8",
    turns: Annotated[int, typer.Option(min=1)] = 15,
) -> None:
    """Print a table of ratios."""
    sizes = {
        "vocabulary_size": vocabulary,
        "hidden_dim": depth,
        "intermediate_dim": 4 * depth,
        "num_heads": max(1, depth // 32),
        "num_encoder_layers": layers,
        "num_decoder_layers": layers,
    }
    rng = np.random.default_rng(0)
    sources = [rng.integers(3, vocabulary, 20 + i).astype(np.int32) for i in range(SENTENCES)]
    with tempfile.TemporaryDirectory() as folder:
        found = files(Path(folder), sizes, recipe)
        timed = {name: ways(file, bucket, sources) for name, (file, bucket) in found.items()}
        for name, (file, _) in found.items():
            print(f"{name}: {file.stat().st_size / 1e6:.2f} MB")
        for way in next(iter(timed.values())):
            tokens = {name: functions[way]() for name, functions in timed.items()}  # and makes them ready
            times: dict[str, list[float]] = {name: [] for name in timed}
            for _ in range(turns):
                for name, functions in timed.items():
                    clock = time.process_time()
                    functions[way]()
                    times[name].append(time.process_time() - clock)
            lowered = np.array(times["lowered"])
            count = SENTENCES * STEPS
            print(f"{way}: lowered {1e6 * np.median(lowered) / count:.0f} us a token", end="")
            for name in list(timed)[1:]:
                ratios = np.array(times[name]) / lowered
                low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
                same = np.mean(
                    [one == other for one, other in zip(tokens["lowered"], tokens[name], strict=True)]
                )
                print(
                    f"; {name} {middle:.2f} ({low:.2f} to {high:.2f}), {same:.0%} of the outputs equal",
                    end="",
                )
            print(flush=True)


if __name__ == "__main__":
    typer.run(main)
