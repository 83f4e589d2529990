"""Download folders from the Hugging Face hub into its cache."""

import re
from pathlib import Path

from keras_attn.pretrained.errors import PretrainedError

NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
# No pickles, no other frameworks' weights, no pictures; KerasHub's presets are on this hub as well.
WANTED = ["*.json", "*.safetensors", "*.weights.h5", "*.txt", "*.model"]


def folder_of(folder_or_hub_name: str | Path) -> Path:
    """Return a folder, after downloading it if it is a name on the hub.

    Raises:
        PretrainedError: if it is neither, or cannot be downloaded and is not cached.
    """
    folder = Path(folder_or_hub_name)
    if folder.is_dir():
        return folder
    name = str(folder_or_hub_name)
    if folder.is_file():
        raise PretrainedError(f"{name} is a file: give a folder.")
    if isinstance(folder_or_hub_name, Path) or not NAME.fullmatch(name) or name.endswith(".zip"):
        raise PretrainedError(f"There is no folder {name}.")
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import (
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
        )
    except ImportError:
        raise PretrainedError(
            f"There is no folder {name}. If it is a name on the hub, install huggingface_hub: pip install "
            "'keras-attn[hub]'."
        ) from None
    try:
        return Path(snapshot_download(name, allow_patterns=WANTED))
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise PretrainedError(
            f"There is no folder {name}, and no public model of this name on the hub (huggingface.co) "
            "either: correct the path or the name."
        ) from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        message = str(error).strip().partition("\n")[0]
        raise PretrainedError(
            f"There is no folder {name}: correct the path. If it is a name on the hub (huggingface.co), it "
            f"was not downloaded before and could not be now: {type(error).__name__}, {message} Without a "
            "network, download it elsewhere and give its folder."
        ) from error
