"""Convolutions, images by patches, and what users put around them."""

import keras
import numpy as np
from keras import layers, ops

from zoo.case import Case, floats


def trained(model):
    """Give weights the size that they have after training, and batch normalization its statistics."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if "moving" in weight.path:
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif len(weight.shape) > 1:
            weight.assign(2 * weight)
    return model


def residual():
    x = inputs = keras.Input((12, 12, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(x)
    x = layers.Conv2D(8, 3, padding="same", use_bias=False)(x)
    for stride in (1, 2):
        y = layers.BatchNormalization()(x)
        y = layers.Activation("relu")(y)
        y = layers.Conv2D(8, 3, padding="same", strides=stride)(y)
        x = layers.add([layers.MaxPooling2D(stride)(x), y])
    return trained(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x))))


def mobile():
    return trained(
        keras.Sequential(
            [
                keras.Input((12, 12, 3)),
                layers.SeparableConv2D(8, 3, activation="relu6"),
                layers.DepthwiseConv2D(3, strides=2, padding="same"),
                layers.BatchNormalization(),
                layers.ReLU(6.0),
                layers.AveragePooling2D(2),
                layers.GlobalMaxPooling2D(keepdims=True),
                layers.Conv2D(4, 1),
                layers.Flatten(),
                layers.Dropout(0.3),
                layers.Softmax(),
            ]
        )
    )


def unet():
    x = inputs = keras.Input((8, 8, 2))
    down = layers.Conv2D(4, 3, padding="same", activation="swish")(x)
    x = layers.Conv2D(6, 3, strides=2, padding="same", activation="elu")(down)
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    x = layers.Concatenate()([x, down])
    x = layers.Conv2DTranspose(4, 3, strides=2, padding="same")(x)
    x = layers.GroupNormalization(2)(x)
    x = layers.LeakyReLU()(layers.Cropping2D(1)(layers.ZeroPadding2D(1)(x)))
    return keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(x))


def audio():
    return keras.Sequential(
        [
            keras.Input((32, 2)),
            layers.Conv1D(6, 5, strides=2, activation="tanh"),
            layers.SeparableConv1D(6, 3, padding="same"),
            layers.DepthwiseConv1D(3, depth_multiplier=2),
            layers.PReLU(shared_axes=[1]),
            layers.MaxPooling1D(2),
            layers.Conv1DTranspose(4, 3, strides=2),
            layers.UpSampling1D(2),
            layers.GlobalAveragePooling1D(),
            layers.Dense(3),
        ]
    )


def patches():
    """A small ViT."""
    x = inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 4, strides=4)(x)
    x = layers.Reshape((4, 8))(x)
    x = x + layers.Embedding(4, 8)(ops.arange(4))
    x = x + layers.MultiHeadAttention(2, 4)(layers.LayerNormalization()(x), x)
    x = x + layers.Dense(8)(layers.Dense(16, activation="gelu")(layers.LayerNormalization()(x)))
    return keras.Model(inputs, layers.Dense(3)(ops.mean(x, axis=1)))


def augmented():
    """Random layers that do nothing at inference, as they stand in front of image models."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.RandomFlip(),
            layers.RandomRotation(0.1),
            layers.GaussianNoise(0.1),
            layers.Resizing(6, 6),
            layers.CenterCrop(4, 4),
            layers.Conv2D(4, 3, activation="selu"),
            layers.SpatialDropout2D(0.2),
            layers.Flatten(),
            layers.UnitNormalization(),
            layers.Dense(2),
        ]
    )


def autoencoder():
    encoder = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(6, activation="relu")])
    decoder = keras.Sequential([keras.Input((6,)), layers.Dense(64), layers.Reshape((8, 8, 1))])
    inputs = keras.Input((8, 8, 1))
    return keras.Model(inputs, decoder(encoder(inputs)), name="autoencoder")


def pixels(rng, count, length):
    return rng.integers(0, 256, (count, 12, 12, 3)).astype("float32")


CASES = {
    "residual": Case(residual, pixels),
    "mobile": Case(mobile, floats(12, 12, 3)),
    "unet": Case(unet, floats(8, 8, 2)),
    "audio": Case(audio, floats(32, 2)),
    "patches": Case(patches, floats(8, 8, 3)),
    "augmented": Case(augmented, floats(8, 8, 3)),
    "autoencoder": Case(autoencoder, floats(8, 8, 1)),
}
