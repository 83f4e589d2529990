"""From a trained Keras model to a proven bundle for the device.

`keras_attn.export` and `keras_attn.prove` are its public functions.

api              `export` and `prove`, and what their arguments mean
pipeline         all steps in order
sources          what can be exported: a run folder, a checkpoint, or a Keras model
recipes          how weights are stored and computed with, and which error is accepted
buckets          the static lengths that become signatures
lowering         inference graphs built from configuration and weights (TensorFlow)
tflite           conversion in a subprocess, quantization, compaction, inspection of .tflite files
graph_tokenizer  the tokenizer before the graph, built from tables
proof            the checks: Keras against fp32 against quantized, and their report
file_proof       a .tflite file that something else made, against the Keras model that it should be
shortlist_lexicon  likely translations of each source token
one_call_plan    the plan of signatures that search in one call
single_file      the device's program as one .pyz
"""

from typing import TYPE_CHECKING

from keras_attn.lazy_names import lazy_names

if TYPE_CHECKING:
    from keras_attn_export.api import export, prove
    from keras_attn_export.proof.proof_run import ExportError
    from keras_attn_export.recipes import RECIPES, Recipe, Tolerance, tolerance_for
    from keras_attn_export.tflite.convert import ConversionError

__all__ = [
    "RECIPES",
    "ConversionError",
    "ExportError",
    "Recipe",
    "Tolerance",
    "export",
    "prove",
    "tolerance_for",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "ConversionError": ".tflite.convert",
        "ExportError": ".proof.proof_run",
        "RECIPES": ".recipes",
        "Recipe": ".recipes",
        "Tolerance": ".recipes",
        "export": ".api",
        "prove": ".api",
        "tolerance_for": ".recipes",
    },
)
