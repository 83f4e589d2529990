"""From a trained Keras model to a proven bundle for the device.

recipes     how weights are stored and computed with, and which error is accepted
buckets     the static lengths that become signatures
lowering*   inference graphs built from configuration and weights (TensorFlow)
convert     lowering, conversion and quantization, in a process of their own
in_graph    the tokenizer before the graph, from tables: word_pieces and character_table
flatbuffer  what is inside a .tflite file, and what must not be
compact     one copy of equal data, no names nobody reads
proof       the proof run: Keras against fp32 against quantized
report      the proof run's figures, for people and programs
pipeline    all of it in order: `export`
single_file the device's program as one .pyz
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_attn_export.pipeline import ExportError, export

__all__ = ["ExportError", "export"]


def __getattr__(name: str) -> Any:
    # The package itself imports nothing, so that its converter process never loads Keras.
    if name in __all__:
        from keras_attn_export import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
