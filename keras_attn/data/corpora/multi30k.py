"""Multi30k, task 1: 29,000 image captions in English, German and French.

The raw text files (Elliott et al. 2016, arXiv:1605.00459) come from the corpus' public repository: six small
files for two languages, each checked against a pinned SHA-256, cached in a folder, and resumed after an
interruption. Of several processes one downloads them while the others wait. The corpus is for research and
education only.
"""

import os
from http.client import HTTPException
from pathlib import Path

from keras_attn.data.errors import DataError
from keras_attn.data.readers.parallel import ParallelCorpus, corpus_from_pairs, read_prefix
from keras_attn.downloads import DownloadError, Progress, cache_folder, fetch

BASE_URL = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw"
LANGUAGES = ("en", "de", "fr")
SPLITS = {"train": "train", "validation": "val", "test": "test_2016_flickr"}

SHA256 = {
    "train.en.gz": "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
    "train.de.gz": "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6",
    "train.fr.gz": "622e75069e9f4c577425c4f277116ce66e63a2401c0a2312d90073cb12379a3c",
    "val.en.gz": "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
    "val.de.gz": "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a",
    "val.fr.gz": "ca3106f1a72390591d25f6c45cb4cd39dec4cd3f123e099748a3ce5256c160e9",
    "test_2016_flickr.en.gz": "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",
    "test_2016_flickr.de.gz": "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8",
    "test_2016_flickr.fr.gz": "6d326e188d259fb1d04ac19eae3af956559b3a0b93d7635e56c90987c40c8b90",
}


def load_multi30k(
    source_language: str,
    target_language: str,
    *,
    cache: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    base_url: str = BASE_URL,
) -> ParallelCorpus:
    """Return the corpus for two of `LANGUAGES`, downloaded if it is not cached.

    The test split is `test_2016_flickr`.

    Raises:
        DataError: if the languages are unknown, or a file cannot be downloaded (the message names the cache
            folder and the files).
    """
    name = f"multi30k:{source_language}-{target_language}"
    if source_language == target_language or not {source_language, target_language} <= set(LANGUAGES):
        raise DataError(
            f"{name} does not exist; Multi30k has two different languages of {', '.join(LANGUAGES)}."
        )
    folder = Path(cache) if cache is not None else cache_folder("multi30k")
    languages = (source_language, target_language)
    files = [f"{split}.{language}.gz" for split in SPLITS.values() for language in languages]
    for file in files:
        try:
            fetch(f"{base_url}/{file}", folder / file, SHA256[file], progress)
        except DownloadError as error:
            raise DataError(f"{error} Or give your own files with --train PREFIX.") from None
        except (OSError, HTTPException) as error:
            raise DataError(_unreachable(name, base_url, folder, files, error)) from None
    pairs = {split: read_prefix(folder / stem, *languages) for split, stem in SPLITS.items()}
    return corpus_from_pairs(
        **pairs, source_language=source_language, target_language=target_language, name=name
    )


def _unreachable(name: str, base_url: str, folder: Path, files: list[str], error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return (
        f"{name} cannot be downloaded from {base_url} ({reason}). Without a network, put "
        f"{', '.join(files)} from there into {folder}, or give your own files with --train PREFIX."
    )
