"""Runs the command line: ``python -m keras_attn`` is ``keras-attn``."""

from keras_attn.cli import main

if __name__ == "__main__":
    main()
