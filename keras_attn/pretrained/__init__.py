"""Load checkpoints of Hugging Face and KerasHub, and save models as Hugging Face folders.

`load(folder_or_hub_name)`   a model with the folder's configuration and weights
`save(model, folder)`        a folder that Hugging Face's transformers load
`load_tokenizer(folder)`     its tokenizer
`search_options(folder)`     special tokens and search defaults of a generative model
"""

from keras_attn.pretrained.errors import PretrainedError
from keras_attn.pretrained.generation_config import search_options
from keras_attn.pretrained.load_save import load, save
from keras_attn.pretrained.tokenizers.load_tokenizer import load_tokenizer

__all__ = ["PretrainedError", "load", "load_tokenizer", "save", "search_options"]


def __dir__() -> list[str]:
    return sorted(__all__)
