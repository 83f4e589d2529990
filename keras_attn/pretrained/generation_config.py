"""The search options of a checkpoint: its special tokens and its defaults."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_attn.pretrained.checkpoint import find_config, read_json
from keras_attn.pretrained.errors import PretrainedError
from keras_attn.pretrained.hub import folder_of

GENERATION_CONFIG = "generation_config.json"
# Options that `search_options` reads.
COMPUTED = (
    "bad_words_ids",
    "bos_token_id",
    "decoder_start_token_id",
    "early_stopping",
    "eos_token_id",
    "force_bos_token_to_be_generated",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "length_penalty",
    "max_length",
    "max_new_tokens",
    "min_length",
    "min_new_tokens",
    "no_repeat_ngram_size",
    "num_beams",
    "renormalize_logits",
    "suppress_tokens",
)
# Options that change the output, and the values besides None that leave it unchanged.
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "begin_suppress_tokens": ([],),
    "cache_config": ({},),
    "cache_implementation": ("dynamic", "static", "offloaded", "offloaded_static"),
    "constraints": ([],),
    "diversity_penalty": (0.0,),
    "do_sample": (False,),
    "dola_layers": (),
    "encoder_no_repeat_ngram_size": (0,),
    "encoder_repetition_penalty": (1.0,),
    "exponential_decay_length_penalty": (),
    "force_words_ids": ([],),
    "guidance_scale": (1.0,),
    "max_time": (),
    "num_beam_groups": (1,),
    "num_return_sequences": (1,),
    "penalty_alpha": (0.0,),
    "prompt_lookup_num_tokens": (0,),
    "repetition_penalty": (1.0,),
    "sequence_bias": ([], {}),
    "speculation_type": (),
    "stop_strings": ([],),
    "token_healing": (False,),
    "use_mtp": (False,),
    "watermarking_config": (),
}
# Options that do not change the output, by reason.
HARMLESS_SEARCH: dict[str, tuple[str, ...]] = {
    "records where the options come from": (
        "_commit_hash",
        "_from_model_config",
        "_original_object_hash",
        "transformers_version",
    ),
    "pads the shorter texts of a batch": ("pad_token_id",),
    "matters only for sampling, which `do_sample` enables": (
        "epsilon_cutoff",
        "eta_cutoff",
        "min_p",
        "temperature",
        "top_h",
        "top_k",
        "top_p",
        "typical_p",
    ),
    "replaces scores that are not numbers, which raise an error here": ("remove_invalid_values",),
    "says how the same tokens are computed, or what else is returned": (
        "compile_config",
        "continuous_batching_config",
        "disable_compile",
        "low_memory",
        "max_cache_len",
        "output_attentions",
        "output_hidden_states",
        "output_logits",
        "output_scores",
        "prefill_chunk_size",
        "return_dict_in_generate",
        "use_cache",
    ),
    "matters only for assisted decoding": (
        "assistant_confidence_threshold",
        "assistant_early_exit",
        "assistant_ensemble_weight",
        "assistant_lookbehind",
        "is_assistant",
        "max_matching_ngram_size",
        "num_assistant_tokens",
        "num_assistant_tokens_schedule",
        "target_lookbehind",
    ),
}
IGNORED = frozenset(name for names in HARMLESS_SEARCH.values() for name in names)
# Options that only a translator's search computes.
NOT_OF_LANGUAGE_MODELS = (
    "bad_words_ids",
    "forced_bos_token_id",
    "min_length",
    "min_new_tokens",
    "no_repeat_ngram_size",
    "suppress_tokens",
)
# All known options; config.json may have them as well.
SEARCH_OPTIONS = frozenset({*COMPUTED, *NEUTRAL, *IGNORED})


def end_of_text(folder_or_hub_name: str | Path) -> int:
    """Return the end-of-text token of a language model.

    Sampling and beam size are the caller's choice (`do_sample`, `num_beams`). Other options that would change
    the output are refused.

    Raises:
        PretrainedError: as for `search_options`.
    """
    folder = folder_of(folder_or_hub_name)
    config, _ = _read(folder)
    end, problems = _end(config)
    problems += _unsupported({**config, "do_sample": None})
    problems += [
        f"option {name}={config[name]!r} is not supported for a language model"
        for name in NOT_OF_LANGUAGE_MODELS
        if config.get(name)
    ]
    _refuse(folder, problems)
    return int(end)


def search_options(folder_or_hub_name: str | Path) -> dict[str, Any]:
    """Return the arguments with which `keras_attn.device.search` does what generate() does by default.

    With `early_stopping=True` and without `forced_eos_token_id` generate() lets all hypotheses compete at the
    limit if fewer than the beams have finished, while here the finished ones come first.

    Args:
        folder_or_hub_name: as for `load`.

    Returns:
        Dict of `start_id`, `first_id`, `end_id`, `beam`, `length_penalty`, `suppress`, `renormalize`,
        `force_end`, `early_stopping`, `min_length`, `no_repeat_ngram`, and `max_length` where there is a
        limit.

    Raises:
        PretrainedError: if a file is missing or broken, or an option is not supported; one line for each.
    """
    folder = folder_of(folder_or_hub_name)
    config, forced = _read(folder)
    problems = _unsupported(config)
    first = config.get("forced_bos_token_id")
    if first is not None and not isinstance(first, int):
        problems.append(f"option forced_bos_token_id={first!r} must be one token")
    if first is None and config.get("force_bos_token_to_be_generated"):
        problems.append(
            "option force_bos_token_to_be_generated=True is not supported: give forced_bos_token_id instead"
        )
    names = ("decoder_start_token_id", "bos_token_id")
    named, start = next(((each, config[each]) for each in names if config.get(each) is not None), ("", None))
    if start is None:
        problems.append("neither decoder_start_token_id nor bos_token_id is given")
    elif not isinstance(start, int):
        problems.append(f"option {named}={start!r} must be one token")
    end, more = _end(config)
    problems += more
    if forced not in (None, end, [end]):
        problems.append(f"option forced_eos_token_id={forced!r} is not the end token {end!r}")
    if config.get("early_stopping") == "never":
        problems.append("option early_stopping='never' is not supported (only True, False, None)")
    length_penalty = 1.0 if config.get("length_penalty") is None else config["length_penalty"]
    if not length_penalty >= 0:
        problems.append(f"option length_penalty={length_penalty!r} is not supported (only 0 or more)")
    bad_words = config.get("bad_words_ids") or []
    if any(len(word) != 1 for word in bad_words):
        problems.append(f"option bad_words_ids={bad_words!r} is not supported (only single tokens)")
    suppressed = {*(word[0] for word in bad_words), *(config.get("suppress_tokens") or [])}
    if end in suppressed:
        problems.append(f"the options bad_words_ids and suppress_tokens hold the end token {end!r}")
    following = [
        name for name in ("min_length", "min_new_tokens", "no_repeat_ngram_size") if config.get(name)
    ]
    problems += [
        f"option {name}={config[name]!r} is not supported (only whole numbers of at least 0)"
        for name in following
        if not isinstance(config[name], int) or config[name] < 0
    ]
    if following and config.get("renormalize_logits"):
        problems.append(f"option renormalize_logits=True is not supported with {', '.join(following)}")
    _refuse(folder, problems)
    options = {
        "start_id": start,
        "first_id": first,
        "end_id": end,
        "beam": config.get("num_beams") or 1,
        "length_penalty": float(length_penalty),
        "suppress": tuple(sorted(suppressed)),
        "renormalize": bool(config.get("renormalize_logits")),
        "force_end": forced is not None,
        "early_stopping": config.get("early_stopping") is True,
        # Hugging Face's length counts the start token.
        "min_length": max((config.get("min_length") or 1) - 1, config.get("min_new_tokens") or 0),
        "no_repeat_ngram": config.get("no_repeat_ngram_size") or 0,
    }
    if config.get("max_new_tokens") is not None:
        return {**options, "max_length": config["max_new_tokens"]}
    # Hugging Face's length counts the start token.
    limit = config.get("max_length")
    return options if limit is None else {**options, "max_length": limit - 1}


def _read(folder: Path) -> tuple[dict[str, Any], Any]:
    """Read all search options, and `forced_eos_token_id`.

    Of forced tokens the newer file alone decides, if it exists.
    """
    config = {name: value for name, value in read_json(find_config(folder)).items() if name in SEARCH_OPTIONS}
    # Older versions kept everything in config.json.
    forced = config.get("forced_eos_token_id")
    if (folder / GENERATION_CONFIG).is_file():
        given = read_json(folder / GENERATION_CONFIG)
        config |= {name: value for name, value in given.items() if value is not None}
        forced = given.get("forced_eos_token_id")
        config["forced_bos_token_id"] = given.get("forced_bos_token_id")
    return config, forced


def _unsupported(config: Mapping[str, Any]) -> list[str]:
    """List the options that are unknown, and those that would change the output."""
    problems = [
        f"option {name}={value!r} is not known, so it may change the output"
        for name, value in config.items()
        if name not in SEARCH_OPTIONS
    ]
    problems += [
        f"option {name}={config[name]!r} is not supported (only {', '.join(map(repr, (*values, None)))})"
        for name, values in NEUTRAL.items()
        if config.get(name) is not None and config[name] not in values
    ]
    return problems


def _end(config: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """Read the end token, and list the problems."""
    ends = config.get("eos_token_id")
    ends = ends if isinstance(ends, list) else [ends]
    if len(ends) == 1 and ends[0] is not None:
        return ends[0], []
    return None, [f"option eos_token_id={config.get('eos_token_id')!r} must be one token"]


def _refuse(folder: Path, problems: list[str]) -> None:
    if problems:
        raise PretrainedError("\n  ".join([f"{folder}: the search options are not supported:", *problems]))
