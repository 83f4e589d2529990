"""Read the vectors of an embedding layer, for an output layer that is tied to them."""

from keras import ops


def embedding_table(embedding):
    """Return the vectors of all tokens, as the layer's lookup gives them.

    Quantized vectors are scaled back, and what a LoRA adapter has learned is added.

    Args:
        embedding: built `keras.layers.Embedding`, or a subclass such as `ReversibleEmbedding`.

    Returns:
        float tensor (V, D).
    """
    if embedding.quantization_mode is None:
        return ops.convert_to_tensor(embedding.embeddings)
    return embedding(ops.arange(embedding.input_dim, dtype="int32"))
