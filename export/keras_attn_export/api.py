"""The doors of this package: `export` and `prove`. Nothing heavy is imported before one is called."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from keras_attn.errors import require

if TYPE_CHECKING:
    from keras_attn.device.files.bundle import Bundle

    require("ai_edge_litert")
    from keras_attn_export.file_proof.file_proof import FileReport
    from keras_attn_export.recipes import Recipe


def export(
    source: Any,
    bundle: str | os.PathLike[str],
    recipe: str | Recipe = "int8",
    *,
    tokenizer: Any = None,
    examples: Any = None,
    languages: dict[str, str] | Sequence[str] | None = None,
    lengths: Iterable[int | tuple[int, int]] | None = None,
    buckets: Iterable[int | tuple[int, int]] | None = None,
    labels: Sequence[str] | None = None,
    task: str | None = None,
    beam: int | None = None,
    batch: int | Sequence[int] | None = None,
    heads: bool = False,
    pairs: bool = False,
    tokenizer_in_graph: bool = False,
    mediapipe: bool = False,
    one_call: bool = False,
    shortlist: Sequence[tuple[str, str]] | None = None,
    proof_sentences: int = 32,
    metric_sentences: int = 1000,
    seed: int = 0,
    lowering: str | None = None,
    conversions: str | os.PathLike[str] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Bundle:
    """Export a trained model to a proven bundle.

    Args:
        source: a run folder, a `keras_attn.training.Run`, a checkpoint's folder or name on the Hugging Face
            hub, a model of `keras_attn.models` with its `tokenizer`, or any other built Keras model, or the
            path of its `.keras` file, whose classes must have been imported: it becomes a model of arrays.
        bundle: folder or `.zip` to write. An existing bundle is replaced, once the new one is proven.
        recipe: `"fp32"`, `"fp16"`, `"int8"`, `"int8-weights"`, `"int4-mixed"`, or a `Recipe`.
        tokenizer: of a Keras model, whose ids it was trained with: whatever `keras_attn.data.as_tokenizer`
            takes, such as a `tokenizers.Tokenizer`, a `tokenizer.json` or a `keras.layers.TextVectorization`.
        examples: held-out examples for the proof, instead of the run's: (source, target) pairs of texts for
            a translator, (text, label) pairs for a classifier, where a label may be its number, texts
            otherwise: a list, arrays, or batches of these. For a model of arrays what `keras.Model.predict`
            takes, or batches, such as of a `tf.data.Dataset`, a `keras.utils.PyDataset`, a torch `DataLoader`
            or a generator, with targets or without; by default valid inputs are made up. A subclassed model,
            which does not record its inputs, needs them.
        languages: labels of `source` and `target`, instead of the run's. Of a translator of many languages
            also a list of two or more of them, such as `["en", "de", "ja"]`: the bundle then has only these,
            and of the vocabulary what they need: with `examples` the tokens of these texts and of the
            model's answers to them, otherwise all tokens in their scripts.
        lengths: lengths that become signatures, or (source, target) pairs; by default 16, 32, 64 and 128 for
            translators, 8 to 512 for encoders, 32 to 512 for prompts, 32 to 4096 for BigBird, as far as the
            model can go or was trained. Where BigBird is sparse a length must be a multiple of its
            `block_size`. For any other model, sizes of the axes that its inputs leave open.
        buckets: an earlier name of `lengths`.
        labels: of a classifier of your own, in the order of its outputs: with `tokenizer`, or with a
            TextVectorization in the model, the bundle classifies texts.
        task: `"prediction"` for a model of arrays although it could be another's, `"embedding"` for a
            sentence encoder of your own; by default what the model, its tokenizer and labels are for.
        beam: largest beam size of a translator's search on the device (besides greedy search); default 5.
        batch: number of sentences, 2 or more, that a translator on the device decodes together when it is
            given many, or of examples that a model of arrays computes together, of which there may be
            several numbers; by default one after the other.
        heads: whether the bundle of an encoder or a language model also returns the attention of all heads;
            not where BigBird is sparse.
        pairs: whether a classifier's bundle also reads two texts at a time, distinguished by segments; a
            `NextSentence`'s always does.
        tokenizer_in_graph: whether a classifier's or sentence encoder's file gets signatures that begin with
            the text itself, besides those of token ids; they need tensorflow-text's operators on the host.
        mediapipe: whether the bundle of a classifier or sentence encoder also gets `mediapipe.tflite`, which
            MediaPipe's TextClassifier or TextEmbedder opens. The tokenizer must be WordPiece, in lower case;
            there is one length, that of `lengths`, by default 128 or as far as the model can go.
        one_call: whether the file also gets signatures that search greedily in one call, for hosts without a
            loop over steps.
        shortlist: parallel text, (source, target), such as a translator was trained with: the bundle then has
            a shortlist of likely target tokens for each source, and steps that score only these.
        proof_sentences: held-out texts, or examples of a model of arrays, that `proof.npz` carries.
        metric_sentences: held-out texts on which every model is scored.
        seed: random seed of the generated inputs of the proof.
        lowering: "module:function" of a `keras_attn_export.lowering.base.Lowering`, for models of your own.
        conversions: folder that keeps the converted models, so that another export of the same model with
            the same options, by another recipe, need not convert it again; by default none is kept. Use
            it with one version of this package: it distinguishes only those of TensorFlow and the quantizer.
            Of layers of your own it knows configuration and weights; empty it after a change of their code.
        progress: called with a line at the start of each stage.

    Returns:
        The opened bundle.

    Raises:
        ExportError: when the model cannot be lowered or a check of the proof fails; no bundle is written.
        ArgumentError: when an argument does not make sense.
        TrainingError, PretrainedError: when a run or a checkpoint cannot be read.
        BundleError: when `bundle` is something else that would be overwritten.
        MissingPackage: when TensorFlow or another package of the extra `export` is not installed.
    """
    options = locals()
    require("tensorflow", "ai_edge_quantizer", "ai_edge_litert")
    from keras_attn_export.pipeline import export_bundle

    return export_bundle(**options)


def prove(
    file: str | os.PathLike[str],
    against: Any,
    *,
    examples: Any = None,
    lengths: Iterable[int] | None = None,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> FileReport:
    """Compare a .tflite file that something else made with the Keras model that it should be.

    The file runs in a process of its own. Its inputs and outputs, quantized or not, are matched with the
    model's by name, else by shape and type, else by the numbers in their names.

    Args:
        file: the .tflite file, with any number of signatures or none.
        against: a built Keras model, or the path of a `.keras` file, whose classes must have been imported.
        examples: inputs to compare with, what `keras.Model.predict` takes; by default valid ones are made up.
        lengths: sizes to try where both model and file leave an axis open.
        seed: random seed of the inputs that are made up.
        progress: called with a line for each signature.

    Returns:
        The report. `ok` says whether every check holds; `signatures` has the figures of every output. Errors
        are relative: a file of 32-bit floats may differ by 1e-4, and a quantized one's outputs must have a
        cosine of 0.99 with the model's.

    Raises:
        ArgumentError: the file is missing or not a TFLite file, `against` cannot be loaded or called, or an
            argument does not make sense.
        InputError: the examples do not fit the model.
        MissingPackage: a package of the extra `export` is not installed.
    """
    from keras_attn_export.file_proof.file_proof import prove_file

    return prove_file(file, against, examples=examples, lengths=lengths, seed=seed, progress=progress)
