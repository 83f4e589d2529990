"""Converts Keras layers of many kinds in a subprocess: devices must accept what TensorFlow writes for them.

    python tests/support/tiny/tiny_layers.py FOLDER

writes NAME.RECIPE.tflite of each, and NAME.npz with its inputs and Keras' outputs.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

RECIPES = {"int8": ("int8", "int8"), "weights": ("int8", "float32"), "fp16": ("float16", "float32")}
IMAGE, SEQUENCE, VOLUME = (1, 8, 8, 4), (1, 6, 5), (1, 4, 5, 6, 2)


def layers():
    """Return by name a function that makes a model, and the shape and type of its input."""
    from keras import Sequential, ops
    from keras import layers as ls

    images = {
        "conv": lambda: ls.Conv2D(40, 3, strides=2, padding="same", activation="relu"),
        "conv dilated": lambda: ls.Conv2D(3, 3, dilation_rate=2),
        "conv in groups": lambda: ls.Conv2D(4, 3, groups=2),
        "depthwise": lambda: ls.DepthwiseConv2D(3, depth_multiplier=20),
        "separable": lambda: ls.SeparableConv2D(3, 3),
        "transposed": lambda: ls.Conv2DTranspose(40, 3, strides=2, padding="same"),
        "pooled": lambda: Sequential([ls.MaxPooling2D(), ls.AveragePooling2D(3, 1, padding="same")]),
        "normalized": lambda: Sequential([ls.BatchNormalization(), ls.GroupNormalization(2), ls.PReLU()]),
        "resized": lambda: Sequential([ls.Resizing(5, 7), ls.UpSampling2D(), ls.ZeroPadding2D()]),
        "mirrored": lambda: ls.Lambda(lambda x: ops.pad(x, ((0, 0), (1, 1), (2, 0), (0, 0)), "reflect")),
        "attended by axes": lambda: Attended(attention_axes=(1, 2)),
    }
    sequences = {
        "causal": lambda: ls.Conv1D(40, 3, padding="causal", dilation_rate=2),
        "lstm": lambda: ls.LSTM(16, return_sequences=True),
        "gru both ways": lambda: ls.Bidirectional(ls.GRU(16, return_sequences=True)),
        "masked": lambda: Sequential([ls.Masking(), ls.LSTM(4, return_sequences=True), ls.SimpleRNN(3)]),
        "conv lstm": lambda: Sequential([ls.Reshape((3, 5, 2)), ls.ConvLSTM1D(2, 2, return_sequences=True)]),
        "attended": lambda: Attended(),
        "branched": lambda: ls.Lambda(lambda x: ops.cond(ops.sum(x) > 0, lambda: x + 1, lambda: x * 2)),
        "nested loops": lambda: ls.Lambda(
            lambda x: ops.fori_loop(0, 3, lambda i, u: ops.fori_loop(0, 4, lambda j, v: v + 1, u), x)
        ),
        "best": lambda: ls.Lambda(lambda x: ops.top_k(x, 2)[0] + ops.sort(x)[..., :2]),
        "segments": lambda: ls.Lambda(lambda x: ops.segment_sum(x[0], np.array([0, 0, 1, 1, 2, 2]), 3)),
        "spectrum": lambda: ls.STFTSpectrogram(frame_length=4, frame_step=1),
    }
    volumes = {
        "volume": lambda: ls.Conv3D(3, 2, activation="relu"),
        "volume transposed": lambda: ls.Conv3DTranspose(3, 2, strides=2),
    }
    ids = {
        "embedded": lambda: Sequential([ls.Embedding(9, 40, mask_zero=True), ls.LSTM(4), ls.Dense(3)]),
        "one-hot": lambda: ls.Lambda(lambda x: ops.one_hot(x, 9)),
    }

    class Attended(ls.Layer):
        def __init__(self, **options):
            super().__init__()
            self.inner = ls.MultiHeadAttention(2, 4, **options)

        def call(self, x):
            return self.inner(x, x)

    kinds = ((images, IMAGE, "float32"), (sequences, SEQUENCE, "float32"), (volumes, VOLUME, "float32"))
    every = (*kinds, (ids, (1, 6), "int32"))
    return {name: (make, shape, dtype) for each, shape, dtype in every for name, make in each.items()}


def convert(folder):
    """Write the files of all of them."""
    import keras
    import tensorflow as tf
    from keras_attn_export.tflite.quantize import quantize

    for name, (make, shape, dtype) in layers().items():
        keras.utils.set_random_seed(1)
        model, rng = make(), np.random.default_rng(2)
        x = rng.normal(size=shape).astype(dtype) if dtype == "float32" else rng.integers(0, 9, shape, dtype)
        wanted = model(x)
        module = tf.Module()
        module.values = [variable.value for variable in model.variables]
        called = tf.function(
            lambda x, model=model: {"y": model(x)}, [tf.TensorSpec(shape, dtype, "x")], autograph=False
        )
        with tempfile.TemporaryDirectory() as saved:
            signatures = {"f": called.get_concrete_function()}
            tf.saved_model.save(module, saved, signatures=signatures)
            converter = tf.lite.TFLiteConverter.from_saved_model(saved, signature_keys=["f"])
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
            content = converter.convert()
        (folder / f"{name}.fp32.tflite").write_bytes(content)
        for recipe, types in RECIPES.items():
            (folder / f"{name}.{recipe}.tflite").write_bytes(quantize(content, *types))
        np.savez(folder / f"{name}.npz", x=x, y=np.asarray(wanted))


def converted(folder):
    """Convert in a subprocess, for TensorFlow's converter leaks memory; return the files' names."""
    here = Path(__file__).resolve().parents[3]
    paths = os.pathsep.join([str(here), str(here / "export")])
    environment = os.environ | {
        "KERAS_BACKEND": "tensorflow",
        "PYTHONPATH": paths,
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    done = subprocess.run([sys.executable, __file__, folder], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return sorted(path.name for path in folder.glob("*.tflite"))


if __name__ == "__main__":
    convert(Path(sys.argv[1]))
