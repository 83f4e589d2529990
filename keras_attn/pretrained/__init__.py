"""Models trained by others: Hugging Face folders in, and out again, and KerasHub's presets in.

`load(folder_or_hub_name)`   a model with the folder's configuration and weights
`save(model, folder)`        a folder that Hugging Face's transformers load
`load_tokenizer(folder)`     its tokenizer
`search_options(folder)`     special tokens and defaults of the search of a model that writes
"""

from keras_attn.pretrained.errors import PretrainedError
from keras_attn.pretrained.generation_config import search_options
from keras_attn.pretrained.load_save import load, save
from keras_attn.pretrained.tokenizers.load_tokenizer import load_tokenizer

__all__ = ["PretrainedError", "load", "load_tokenizer", "save", "search_options"]


def __dir__() -> list[str]:
    return sorted(__all__)
