"""How a checkpoint wants to be searched: its special tokens and its defaults."""

from pathlib import Path
from typing import Any

from keras_attn.pretrained.checkpoint import CONFIG, read_json
from keras_attn.pretrained.errors import PretrainedError
from keras_attn.pretrained.hub import folder_of

GENERATION_CONFIG = "generation_config.json"
# Options that change what is found, and the values with which they do not.
NEUTRAL: dict[str, Any] = {
    "do_sample": False,
    "num_beam_groups": 1,
    "diversity_penalty": 0.0,
    "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
    "min_length": 0,
    "min_new_tokens": 0,
    "forced_bos_token_id": None,
    "begin_suppress_tokens": None,
}


def search_options(folder_or_hub_name: str | Path) -> dict[str, Any]:
    """Read the arguments with which `keras_attn.device.search.search` does what generate() does by default.

    Both give the same tokens with `early_stopping=True`; generate()'s default, False, goes on while an
    unfinished hypothesis might still win. Without `forced_eos_token_id` generate() lets all hypotheses
    compete at the limit, while here the finished ones come first.

    Args:
        folder_or_hub_name: as for `load`.

    Returns:
        Dict of `start_id`, `end_id`, `beam`, `length_penalty`, `suppress`, `force_end`, and `max_length`
        where there is a limit.

    Raises:
        PretrainedError: if a file is missing or broken, or an option has no counterpart; one line for each.
    """
    folder = folder_of(folder_or_hub_name)
    config = read_json(folder / CONFIG)
    # Old versions kept everything in config.json.
    forced = config.get("forced_eos_token_id")
    if (folder / GENERATION_CONFIG).is_file():
        given = read_json(folder / GENERATION_CONFIG)
        config |= {name: value for name, value in given.items() if value is not None}
        forced = given.get("forced_eos_token_id")
    problems = [
        f"option {name}={config[name]!r} is not supported (only {value!r})"
        for name, value in NEUTRAL.items()
        if config.get(name) not in (None, value)
    ]
    start = config.get("decoder_start_token_id")
    start = config.get("bos_token_id") if start is None else start
    ends = config.get("eos_token_id")
    ends = ends if isinstance(ends, list) else [ends]
    if start is None:
        problems.append("neither decoder_start_token_id nor bos_token_id is given")
    if len(ends) != 1 or ends[0] is None:
        problems.append(f"option eos_token_id={config.get('eos_token_id')!r} must be one token")
    if forced not in (None, ends[0]):
        problems.append(f"option forced_eos_token_id={forced!r} is not the end token {ends[0]!r}")
    bad_words = config.get("bad_words_ids") or []
    if any(len(word) != 1 for word in bad_words):
        problems.append(f"option bad_words_ids={bad_words!r} is not supported (only single tokens)")
    if problems:
        raise PretrainedError("\n  ".join([f"{folder} cannot be searched as it wants to be:", *problems]))
    suppressed = [*(word[0] for word in bad_words), *(config.get("suppress_tokens") or [])]
    options = {
        "start_id": start,
        "end_id": ends[0],
        "beam": config.get("num_beams") or 1,
        "length_penalty": 1.0 if config.get("length_penalty") is None else float(config["length_penalty"]),
        "suppress": tuple(sorted(set(suppressed))),
        "force_end": forced is not None,
    }
    # Their length counts the start token.
    limit = config.get("max_length")
    return options if limit is None else {**options, "max_length": limit - 1}
