"""What runs on the device: NumPy, tokenizers and a LiteRT interpreter, nothing else.

    search      greedy and beam search over any step model
"""
