"""A static site: the web app beside the bundles it offers."""

import hashlib
import json
import re
import shutil
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_attn.device.errors import BundleError, InputError
from keras_attn.device.files.atomic_write import replaced_folder
from keras_attn.device.files.bundle import (
    MANIFEST,
    MODEL,
    PROOF,
    TARGET_TOKENIZER,
    TOKENIZER,
    Bundle,
)
from keras_attn.device.files.bundle_tokenizer import TEMPLATE
from keras_attn.device.model_check.model_check import check_model
from keras_attn.device.proof.decoder_proof import Proof
from keras_attn.device.proof.encoder_proof import EncoderProof, proof_kind
from keras_attn.device.task_names import ENCODER_TASKS, PREDICTION
from keras_attn.device.text.tokenizer import EncoderTokenizer, Tokenizer

TASKS = ("translation", *ENCODER_TASKS, PREDICTION)
LIST = "bundles.json"
_FILES = (MODEL, TOKENIZER, TARGET_TOKENIZER, PROOF)
_SAMPLES, _LONGEST_SAMPLE = 4, 90


def write_site(app: Path, bundles: Sequence[tuple[str, Bundle]], output: Path) -> None:
    """Write the site aside, then move it into place.

    Args:
        app: the built app.
        bundles: titles and bundles, the first of which opens first.
        output: a folder; a site that is there is replaced.

    Raises:
        InputError: what is at ``output`` is not a site, or the app has nothing for a bundle's task.
        BundleError: a bundle cannot be read.
    """
    for title, bundle in bundles:
        if bundle.manifest["task"] not in TASKS:
            raise InputError(
                f"{title}: the web app has nothing for the task {bundle.manifest['task']!r}, only for "
                f"{', '.join(TASKS)}."
            )
        if bundle.manifest.get("preprocessing") is not None:
            raise InputError(
                f"{title}: the model begins with layers that read texts or categories, such as "
                "TextVectorization, which the web app cannot compute; export the model that follows them."
            )
        check_model(bundle.model(), f"{bundle.path}/{MODEL}", bundle.manifest["signatures"])
    if output.exists() and not (output / LIST).is_file() and (output.is_file() or any(output.iterdir())):
        raise InputError(f"{output} exists and is not a site of keras-attn; choose another folder.")
    with replaced_folder(output) as aside:
        shutil.copytree(app, aside, dirs_exist_ok=True)
        entries, names = [], set()
        for title, bundle in bundles:
            name = _unique(bundle.path.stem, names)
            entries.append(_write_bundle(aside, name, title, bundle))
        (aside / LIST).write_text(json.dumps(entries, ensure_ascii=False, indent=2), encoding="utf-8")


def titles_of(bundles: Sequence[Bundle]) -> list[str]:
    """Titles for people: a translator's languages where these tell it apart, or the bundle's name."""
    titles = [_languages(bundle) for bundle in bundles]
    return [
        title if title and titles.count(title) == 1 else " · ".join(filter(None, [title, bundle.path.stem]))
        for title, bundle in zip(titles, bundles, strict=True)
    ]


def _languages(bundle: Bundle) -> str:
    several = (bundle.manifest.get(TEMPLATE) or {}).get("languages") or {}
    if len(several) > 2:
        return f"{len(several)} languages"
    names = [_language(code) for code in bundle.manifest.get("languages", {}).values()]
    return " → ".join(filter(None, names)) if len(names) == 2 and all(names) else ""


def _language(code: str) -> str | None:
    from babel import Locale, UnknownLocaleError

    try:
        return Locale.parse(code.replace("-", "_")).get_display_name("en")
    except (UnknownLocaleError, ValueError):
        return None


def _unique(stem: str, taken: set[str]) -> str:
    slug = re.sub(r"[^A-Za-z0-9_.-]+", "-", stem).strip(".-") or "bundle"
    name, number = slug, 1
    while name in taken:
        number += 1
        name = f"{slug}-{number}"
    taken.add(name)
    return name


def _write_bundle(site: Path, name: str, title: str, bundle: Bundle) -> dict[str, Any]:
    folder = site / "bundles" / name
    folder.mkdir(parents=True)
    manifest = json.dumps(bundle.manifest, ensure_ascii=False).encode()
    (folder / MANIFEST).write_bytes(manifest)
    for file in _FILES:
        if file in bundle.manifest["files"]:
            (folder / file).write_bytes(bundle.read(file))
    return {
        "name": name,
        "title": title,
        "task": bundle.manifest["task"],
        "folder": f"bundles/{name}",
        "digest": hashlib.sha256(manifest).hexdigest()[:16],
        "samples": samples(bundle),
    }


def samples(bundle: Bundle) -> list[str]:
    """A few short texts that the bundle's own proof asks, of scripts as different as there are.

    The page has a form for models of arrays, and takes examples from the proof itself; a question makes no
    sense without its text. Of two texts it is the first.
    """
    task, special = bundle.manifest["task"], bundle.manifest["special_ids"]
    if PROOF not in bundle.manifest["files"] or task in (PREDICTION, "question-answering"):
        return []
    encodes = task in ENCODER_TASKS
    kind, proven = (EncoderTokenizer, proof_kind(task)) if encodes else (Tokenizer, Proof)
    proof = proven.load(bundle.read(PROOF))
    sources = [proof.source(i).tolist() for i in range(len(proof))]
    if bundle.manifest["model"].get("pairs"):
        sources = [ids[: ids.index(special["end"]) + 1] if special["end"] in ids else ids for ids in sources]
    places, options = [None] * len(proof), {}
    if isinstance(proof, EncoderProof) and task == "masked-lm":
        places, options = proof.positions.tolist(), {"written_specials": True}
        if not all(0 <= place < len(ids) for place, ids in zip(places, sources, strict=True)):
            raise BundleError(f"{bundle.path}/{PROOF}: a position is not in its text; copy the bundle again.")
    text = bundle.read(TOKENIZER).decode(errors="replace")
    tokenizer = kind.from_json(text, special, TOKENIZER, **options)
    texts = [_text(ids, place, tokenizer) for ids, place in zip(sources, places, strict=True)]
    # A proof has made-up sources, too: random tokens are hardly ever those that their text is cut into.
    real = [text for text, ids in zip(texts, sources, strict=True) if tokenizer.encode(text) == ids]
    shown = [text for text in real or texts if text.strip()]
    fitting = [text for text in shown if len(text) <= _LONGEST_SAMPLE] or sorted(shown, key=len)[:1]
    chosen: dict[Any, str] = {}
    for text in fitting:
        chosen.setdefault(_script(text), text)
    for text in fitting:  # Of one script only, any of them will do.
        chosen.setdefault(text, text)
    return list(dict.fromkeys(chosen.values()))[:_SAMPLES]


def _text(ids: Sequence[int], place: int | None, tokenizer: Tokenizer) -> str:
    """Return the text of ids, with the mask written out where a masked language model has one."""
    if place is None:
        return tokenizer.decode(ids)
    before, after = tokenizer.decode(ids[:place]), tokenizer.decode(ids[place + 1 :])
    return f"{before} {tokenizer.token(ids[place])} {after}".strip()


def _script(text: str) -> str:
    letter = next((c for c in text if c.isalpha()), "")
    return unicodedata.name(letter, "").split(" ")[0] if letter else ""
