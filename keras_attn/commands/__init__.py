"""The commands of `keras-attn`, one file each: the roof, imported by nothing but `keras_attn.cli`."""
