"""tensorflow-text's tokenizer inside the graph of an encoder, built from tokenizer.json."""
