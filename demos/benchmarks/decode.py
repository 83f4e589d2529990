"""A translator's decoding on LiteRT next to CTranslate2 and Hugging Face, with the same weights.

    python demos/benchmarks/decode.py                              tiny and bergamot, greedy and beam 4
    python demos/benchmarks/decode.py --shapes opus --beams 1 --threads 1,2 --batches 1,16

MarianMT-shaped models of random weights are written as a Hugging Face checkpoint, converted by CTranslate2 to
int8 and lowered by keras-attn to int8. All three translate the same made-up sentences into a fixed number of
tokens, encoding included; runs take turns, and a ratio is the median over pairs of ours and CTranslate2's
processor time. Below 1 ours took less. Several sentences at a time are decoded together, with a file that has
steps for that; the encoder reads one after the other. Peak memory is that of a process that does nothing
else; our weights were packed by an earlier one (`weight_cache`). The floor is the time in which this machine
reads the weights that a token needs once. Needs the `parity` extra.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from keras_attn.commands.environment import quiet_logs
from keras_attn.device.batch import search_batch
from keras_attn.device.decoder import LiteRTStepModel
from keras_attn.device.hypotheses import Rules
from keras_attn.device.interpreter import Model
from keras_attn.device.search import search

SHAPES = {  # units, encoder and decoder layers, heads, hidden units of the feed-forward net, vocabulary
    "tiny": (128, 4, 4, 4, 256, 8001),
    "bergamot": (256, 6, 2, 8, 1536, 32001),
    "opus": (512, 6, 6, 8, 2048, 32001),
    "opus-58k": (512, 6, 6, 8, 2048, 58101),
}
SOURCE, BUCKETS = 20, ((16, 32), (24, 48), (32, 64))
BEAM = 4
MODEL_FILE, CHECKPOINT, CTRANSLATE2 = "model.tflite", "huggingface", "ctranslate2"
TOGETHER = 16
BATCH_FILE = f"batch-{TOGETHER}.tflite"
OURS, THEIRS, FP32 = "keras-attn int8", "CTranslate2 int8", "Hugging Face fp32"


def write_checkpoint(shape: str, folder: Path) -> None:
    """Write a MarianMT checkpoint whose attention and outputs are neither flat nor certain."""
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


def write_ctranslate2(checkpoint: Path, folder: Path) -> None:
    """Convert the checkpoint to CTranslate2's int8; its tokens are called by their numbers."""
    from ctranslate2.converters.converter import Converter  # pyright: ignore[reportMissingImports]
    from ctranslate2.converters.transformers import MarianMTLoader  # pyright: ignore[reportMissingImports]
    from transformers import MarianMTModel  # pyright: ignore[reportMissingImports]

    class FromCheckpoint(Converter):
        def _load(self) -> Any:
            model = MarianMTModel.from_pretrained(checkpoint)
            spec = MarianMTLoader().get_model_spec(model)
            tokens = [str(token) for token in range(model.config.vocab_size - 1)]
            spec.config.eos_token = spec.config.bos_token = spec.config.decoder_start_token = tokens[0]
            spec.config.unk_token = tokens[1]
            spec.register_source_vocabulary(tokens)
            spec.register_target_vocabulary(tokens)
            return spec

    FromCheckpoint().convert(str(folder), quantization="int8")


def write_ours(checkpoint: Path, file: Path, recipe: str = "int8", together: int = 1) -> None:
    """Lower, convert and quantize the checkpoint as an export does, with steps for so many sentences."""
    from keras_attn_export.buckets import Bucket, batch_sizes, sharing_steps
    from keras_attn_export.convert import convert, find_lowering
    from keras_attn_export.ladder_decoder import decoder_layout
    from keras_attn_export.recipes import find_recipe

    from keras_attn import pretrained

    model = pretrained.load(checkpoint)
    buckets, rows = sharing_steps(Bucket(*lengths) for lengths in BUCKETS), [1, BEAM]
    batches = [[size, beams] for beams in rows for size in batch_sizes(together)]
    with tempfile.TemporaryDirectory() as work:
        done = convert(
            Path(work),
            config=model.get_config(),
            weights={
                v.path.partition("/")[2]: np.asarray(v.value) for v in model.weights if "seed" not in v.path
            },
            lowering=find_lowering("Transformer"),
            buckets=buckets,
            options={"rows": rows, "batches": batches},
            recipe=find_recipe(recipe),
        )
        done.quantized.replace(file)
    layout = decoder_layout(buckets, rows, batches=batches)
    file.with_suffix(".json").write_text(json.dumps(layout), "utf-8")


def build(shape: str, work: Path, names: Sequence[str] = (CHECKPOINT, CTRANSLATE2, MODEL_FILE)) -> Path:
    """Write whatever of a shape's models is missing."""
    folder = work / shape
    folder.mkdir(parents=True, exist_ok=True)
    for name, write in (
        (CHECKPOINT, lambda path: write_checkpoint(shape, path)),
        (CTRANSLATE2, lambda path: write_ctranslate2(folder / CHECKPOINT, path)),
        (MODEL_FILE, lambda path: write_ours(folder / CHECKPOINT, path)),
        (BATCH_FILE, lambda path: write_ours(folder / CHECKPOINT, path, together=TOGETHER)),
    ):
        if name in names and not (folder / name).exists():
            print(f"{shape}: writing {name}", file=sys.stderr, flush=True)
            write(folder / name)
    return folder


class Ours:
    """The lowered model under the device's own search."""

    def __init__(self, folder: Path, threads: int, batch: int):
        file = folder / (MODEL_FILE if batch == 1 else BATCH_FILE)
        layout = json.loads(file.with_suffix(".json").read_text("utf-8"))
        self.start = SHAPES[folder.name][-1] - 1
        model = Model(file, threads=threads, weight_cache=folder / "weights")
        self.steps = LiteRTStepModel(model, layout, self.start)

    def decode(self, sources: list[list[int]], beam: int, length: int) -> list[list[int]]:
        """Translate, giving each output's tokens."""
        rules = Rules(self.start, 0, beam, 1, 1.0, False, frozenset(), False)
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


class Theirs:
    """CTranslate2."""

    def __init__(self, folder: Path, threads: int, batch: int):
        import ctranslate2  # pyright: ignore[reportMissingImports]

        self.translator = ctranslate2.Translator(
            str(folder / CTRANSLATE2), inter_threads=1, intra_threads=threads, compute_type="int8"
        )

    def decode(self, sources: list[list[int]], beam: int, length: int) -> list[list[int]]:
        """Translate, giving each output's tokens."""
        texts = [[str(token) for token in source] for source in sources]
        options = {"beam_size": beam, "max_decoding_length": length, "min_decoding_length": length}
        done = self.translator.translate_batch(texts, max_batch_size=len(texts), **options)
        return [[int(token) for token in each.hypotheses[0]] for each in done]


class HuggingFace:
    """transformers on torch, in fp32."""

    def __init__(self, folder: Path, threads: int, batch: int):
        import torch  # pyright: ignore[reportMissingImports]
        from transformers import MarianMTModel  # pyright: ignore[reportMissingImports]

        torch.set_num_threads(threads)
        self.torch = torch
        self.model: Any = MarianMTModel.from_pretrained(folder / CHECKPOINT).eval()

    def decode(self, sources: list[list[int]], beam: int, length: int) -> list[list[int]]:
        """Translate, giving each output's tokens."""
        limits = {"min_new_tokens": length, "max_new_tokens": length, "do_sample": False}
        with self.torch.no_grad():
            done = self.model.generate(self.torch.tensor(sources), num_beams=beam, **limits)
        return done[:, 1:].tolist()


CONTESTANTS = {OURS: Ours, THEIRS: Theirs, FP32: HuggingFace}


def sentences(shape: str, count: int, seed: int) -> list[list[int]]:
    """Make up sources, each closing with the end token."""
    tokens = np.random.default_rng(seed).integers(1, SHAPES[shape][-1] - 1, (count, SOURCE - 1))
    return [[*row, 0] for row in tokens.tolist()]


def compare(
    folder: Path, names: list[str], beam: int, batch: int, threads: int, length: int, repeats: int
) -> dict[str, Any]:
    """Let contestants take turns; give processor and wall milliseconds, and how alike the outputs are."""
    opened = {name: CONTESTANTS[name](folder, threads, batch) for name in names}
    batches = [sentences(folder.name, batch, seed) for seed in range(4)]
    outputs = {name: [each.decode(batch, beam, length) for batch in batches] for name, each in opened.items()}
    cpu: dict[str, list[float]] = {name: [] for name in names}
    wall: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(repeats):
        for name, each in opened.items():
            begun, worked = time.perf_counter(), time.process_time()
            each.decode(batches[turn % len(batches)], beam, length)
            cpu[name].append(1e3 * (time.process_time() - worked))
            wall[name].append(1e3 * (time.perf_counter() - begun))
    tokens = {name: np.array(found)[..., :length].ravel() for name, found in outputs.items()}
    rows = []
    for name in names:
        ratio = np.array(cpu[name]) / np.array(cpu[THEIRS])
        rows.append(
            {
                "shape": folder.name, "beam": beam, "batch": batch, "threads": threads, "name": name,
                "cpu_ms": float(np.median(cpu[name])), "wall_ms": float(np.median(wall[name])),
                "ms_per_token": float(np.median(cpu[name])) / batch / length,
                "ratio": np.percentile(ratio, (25, 50, 75)).tolist(),
                "same_tokens": float(np.mean(tokens[name] == tokens[FP32])) if FP32 in tokens else None,
            }
        )  # fmt: skip
    return {"rows": rows}


def peak_memory(folder: Path, name: str, beam: int, batch: int, length: int) -> float:
    """Translate a few sentences; return the most memory that this process held, in MiB."""
    opened = CONTESTANTS[name](folder, 1, batch)
    for seed in range(3):
        opened.decode(sentences(folder.name, batch, seed), beam, length)
    status = Path("/proc/self/status").read_text("utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def reading_rate() -> float:
    """Measure how fast one thread reads memory, in bytes per second."""
    block = np.ones(1 << 24, np.uint64)
    times = []
    for _ in range(6):
        begun = time.process_time()
        block.max()
        times.append(time.process_time() - begun)
    return block.nbytes / min(times)


def bytes_per_token(shape: str) -> int:
    """Count the int8 weights that one greedy step reads."""
    units, _, layers, _, hidden, vocabulary = SHAPES[shape]
    return layers * (6 * units**2 + 2 * units * hidden) + units * vocabulary


def file_size(path: Path) -> int:
    """Add up a file, or the files of a folder."""
    return path.stat().st_size if path.is_file() else sum(file_size(each) for each in path.iterdir())


def show(rows: list[dict[str, Any]], length: int, rate: float, backend: str) -> None:
    """Print what was measured."""
    names = ("ai-edge-litert", "ctranslate2", "transformers", "torch")
    print(", ".join(f"{name} {version(name)}" for name in names), f"on {platform.machine()}")
    print(f"CTranslate2: {backend}")
    print(f"{SOURCE} tokens in, {length} out; one thread reads {rate / 1e9:.1f} GB/s")
    table = Table()
    right = ("beam", "batch", "threads", "", "CPU ms", "wall ms", "ms per token", "ratio (quartiles)")
    for column in ("shape", *right):
        table.add_column(column, justify="left" if column in ("shape", "") else "right")
    table.add_column("tokens as fp32", justify="right")
    table.add_column("of the floor", justify="right")
    for row in rows:
        low, middle, high = row["ratio"]
        floor = 1e3 * bytes_per_token(row["shape"]) / rate
        greedy = row["beam"] == row["batch"] == 1 and row["name"] != FP32
        table.add_row(
            row["shape"], *(str(row[key]) for key in ("beam", "batch", "threads")), row["name"],
            f"{row['cpu_ms']:.1f}", f"{row['wall_ms']:.1f}", f"{row['ms_per_token']:.3f}",
            f"{middle:.2f} ({low:.2f} to {high:.2f})",
            "" if row["same_tokens"] is None else f"{row['same_tokens']:.0%}",
            f"{floor / row['ms_per_token']:.0%}" if greedy else "",
        )  # fmt: skip
    Console(width=150).print(table)


def ctranslate2_backend(folder: Path) -> str:
    """Tell what CTranslate2 says of its matrix products when it opens a model."""
    verbose = {**os.environ, "CT2_VERBOSE": "1"}
    program = "import sys, ctranslate2; ctranslate2.Translator(sys.argv[1], compute_type='int8')"
    command = [sys.executable, "-c", program, str(folder / CTRANSLATE2)]
    told = subprocess.run(command, capture_output=True, text=True, env=verbose, check=True).stderr
    facts = [line.partition(" - ")[2] for line in told.splitlines() if "GEMM_S8" in line or "ISA" in line]
    return "; ".join(facts) or "an unknown backend"


def in_own_process(*arguments: str) -> Any:
    """Run this file with arguments; return the JSON of its last line."""
    done = subprocess.run(
        [sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def main(
    shapes: Annotated[str, typer.Option(help=f"Of {', '.join(SHAPES)}.")] = "tiny,bergamot",
    beams: Annotated[str, typer.Option(help="1 is greedy search.")] = f"1,{BEAM}",
    threads: Annotated[str, typer.Option(help="Threads of each contestant.")] = "1",
    batches: Annotated[str, typer.Option(help="Sentences at a time.")] = "1",
    length: Annotated[int, typer.Option(help="Tokens of every output.")] = 32,
    repeats: Annotated[int, typer.Option(min=1, help="Turns of each.")] = 20,
    without: Annotated[str, typer.Option(help="Contestants to leave out.")] = "",
    work: Annotated[Path, typer.Option(help="Where the models are kept.")] = Path("runs/decode"),
    output: Annotated[Path | None, typer.Option(help="JSON file for the figures.")] = None,
    child: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Print processor time, wall time, memory and sizes."""
    quiet_logs()
    names = [name for name in CONTESTANTS if name not in without.split(",")]
    if child:
        folder = work / shapes
        if child == "compare":
            sizes = (int(beams), int(batches), int(threads))
            print(json.dumps(compare(folder, names, *sizes, length, repeats)))
        else:
            print(json.dumps(peak_memory(folder, child, int(beams), int(batches), length)))
        return
    rows = []
    for shape in shapes.split(","):
        build(shape, work)
        for beam in beams.split(","):
            common = ["--shapes", shape, "--beams", beam, "--work", str(work), "--length", str(length)]
            for batch in batches.split(","):
                for count in threads.split(","):
                    more = ["--batches", batch, "--threads", count, "--repeats", str(repeats)]
                    found = in_own_process(*common, *more, "--without", without, "--child", "compare")
                    rows += found["rows"]
    backend = ctranslate2_backend(work / shapes.partition(",")[0])
    show(rows, length, reading_rate(), backend)
    for shape in shapes.split(","):
        for batch in batches.split(","):
            for name, file in ((OURS, MODEL_FILE if batch == "1" else BATCH_FILE), (THEIRS, CTRANSLATE2)):
                if name not in names:
                    continue
                size = file_size(work / shape / file) / 1e6
                common = ["--shapes", shape, "--work", str(work), "--length", str(length), "--child", name]
                peaks = [
                    in_own_process(*common, "--beams", beam, "--batches", batch) for beam in beams.split(",")
                ]
                told = ", ".join(
                    f"beam {beam} {peak:.0f} MiB" for beam, peak in zip(beams.split(","), peaks, strict=True)
                )
                print(f"{shape}, batch {batch}, {name}: file {size:.2f} MB, peak memory {told}", flush=True)
    if output is not None:
        output.write_text(json.dumps(rows, indent=1), "utf-8")


if __name__ == "__main__":
    typer.run(main)
