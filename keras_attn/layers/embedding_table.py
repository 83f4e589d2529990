"""The embeddings of a layer, for an output layer that is tied to them."""

from keras import ops


def embedding_table(embedding):
    """Return the embeddings of all tokens, as the layer's lookup returns them.

    Quantized embeddings are dequantized, and those of a LoRA adapter are added.

    Args:
        embedding: built `keras.layers.Embedding`, or a subclass such as `ReversibleEmbedding`.

    Returns:
        float tensor (V, D).
    """
    if embedding.quantization_mode is None:
        return ops.convert_to_tensor(embedding.embeddings)
    return embedding(ops.arange(embedding.input_dim, dtype="int32"))
