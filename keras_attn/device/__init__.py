"""What runs on the device: NumPy, tokenizers and a LiteRT interpreter, nothing else.

    load        a bundle -> an object with the methods of its task

    translator  text in, text out, over any step model
    generator   text that goes on, over any language model
    encoder_tasks  labels, embeddings and words behind masks, over any encoder
    text        token ids, pieces to show, sentences of long text; tokenizer_check tries a tokenizer first
    long_text   as much of a long text as a model can take
    pair_tokenizer  one tokenizer for sources, another for targets
    search      greedy and beam search over any step model
    sampling    drawing tokens by temperature, top-k and top-p
    reading     how well a language model foresees a text
    prompts     language models in the step protocol
    shortlist   the few tokens that a sentence may be translated with
    one_call    greedy search in one call of a signature
    decoder     the step model over a bundle's signatures; step one of them, scores what it says
    streaming   text as it comes
    encoder     the encoder over a bundle's signatures
    bundle      folder or .zip, manifest, hashes; manifest, bundle_files and archive read them with distrust
    arrays      what proof.npz and shortlist.npz hold
    model_check whether a model file is safe to run: flatbuffer and model_file read its tables, operators,
                operator_rules, arithmetic_rules and layout_rules say what each operator may be given,
                loop_check that loops end
    reopening   objects that are pickled, copied or sent to other processes
    interpreter a model file's signatures; litert, below it, is the one file that knows LiteRT
    stderr      standard error, without the runtime's own lines
    proof       references that a bundle carries; encoder_proof those of encoders
    tolerance   how an error is counted: relative where values are large
    tokenizer_proof  the tokenizer in a graph, held against tokenizer.json
    verify      the bundle's proof, repeated on this machine
    benchmark   latency, memory, and the machine's floor
    output_file how files are written: aside, then renamed; folder_exchange how folders are replaced
    streams     standard streams that are closed, full or broken; text that is safe on a terminal
    errors      what can be wrong with a bundle or a text

``python -m keras_attn.device BUNDLE TEXT...`` runs a bundle from the command line.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_attn.device.files.bundle import Bundle
    from keras_attn.device.tasks.encoder_tasks import Classifier, Embedder, MaskFiller
    from keras_attn.device.tasks.generator import Generator
    from keras_attn.device.tasks.translator import Translator

    Loaded = Translator | Generator | Classifier | Embedder | MaskFiller

__all__ = ["load"]


def load(
    bundle: str | os.PathLike[str],
    threads: int = 1,
    weight_cache: str | os.PathLike[str] | None = None,
    whole_vocabulary: bool = False,
) -> Loaded:
    """Load a bundle, a folder or a .zip, after checking all of it.

    Args:
        bundle: path of the bundle.
        threads: threads that the interpreter may use.
        weight_cache: a folder in which the weights of a model of 16 MB and more stay packed as the processor
            wants them, in a file about as large as the model's: it opens faster and needs less memory from
            the second time on. By default they are packed each time, in memory.
        whole_vocabulary: whether a translator that was exported with a shortlist scores all tokens at each
            step nevertheless.

    Threads may share what is returned. They take turns at the model, which computes one text, or one batch of
    a translator's, at a time; ``stream`` may be read beside other calls, and gives way at every token. What
    ``copy.copy`` or ``copy.deepcopy`` makes of it has a model of its own, with which threads do not wait for
    each other. It can be pickled, and so used by processes that are spawned, which open the bundle at the
    same path; a process that is forked opens the model file anew when it first needs it.

    Returns:
        The object of the bundle's task: a Translator, ``load("bundle").translate("…", beam=5).text``; a
        Generator, ``.generate("…", temperature=0.8, top_p=0.9).text`` or ``.stream("…")``; a
        Classifier, ``.classify("…").label``; an Embedder, ``.embed("…").embedding``; a MaskFiller,
        ``.fill_mask("… [MASK] …", top=5)``.

    Raises:
        BundleError: the bundle is missing, damaged, of another format, or not for this interpreter.
        ImportError: no interpreter is installed.
    """
    from keras_attn.device.files.bundle import Bundle

    return load_opened(Bundle.open(bundle, weight_cache, whole_vocabulary), threads)


def load_opened(bundle: Bundle, threads: int = 1) -> Loaded:
    """Load a bundle that has been opened; errors are those of ``load``."""
    from keras_attn.device.files.bundle import ENCODER_TASKS

    if bundle.manifest["task"] in ENCODER_TASKS:
        from keras_attn.device.tasks import encoder_tasks

        return encoder_tasks.from_bundle(bundle, threads=threads)
    if bundle.manifest["task"] == "generation":
        from keras_attn.device.tasks.generator import Generator

        return Generator.from_bundle(bundle, threads=threads)
    from keras_attn.device.tasks.translator import Translator

    return Translator.from_bundle(bundle, threads=threads)
