"""The blocks of the Transformer: encoder, decoder, and what they share."""
