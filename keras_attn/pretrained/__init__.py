"""Models trained by others: Hugging Face folders in, and out again.

`load(folder_or_hub_name)`   a model with the folder's configuration and weights
`save(model, folder)`        a folder that Hugging Face's transformers load
"""

from keras_attn.pretrained.errors import PretrainedError
from keras_attn.pretrained.folders import load, save

__all__ = ["PretrainedError", "load", "save"]
