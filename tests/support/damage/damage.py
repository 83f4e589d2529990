"""Damaged bundles, made of whole ones; a seed and a number give the same damage each time.

    python tests/support/damage/damage.py FOLDER_OF_WHOLE_BUNDLES --cases 10000 --seed 1

tries that many in processes of its own (see ``damage_cases``), prints what went wrong, and exits with 1 if
anything did: a traceback, a signal, more than a line, more than 20 s or 512 MB, or a bundle that passes
``--verify`` and answers otherwise than the whole one.
"""

import hashlib
import json
from contextlib import suppress
from pathlib import Path

import numpy as np
from damage_files import MANIFEST, MODEL, harm_arrays, harm_bytes, harm_folder, harm_zip, zipped
from damage_model import damaged_model

JUNK = (
    None, True, False, -1, 0, 1, 3, 2**31, 2**40, -(2**70), 10**400, 1.5, -0.0, float("nan"), float("inf"),
    "", "x", "\ud800", "a\nb", "[bold]x[/nope]", "\x1b[31m", "9" * 5000, "٣", "../x",
    [], {}, [[]], [None], {"": {}}, ["x"] * 3,
)  # fmt: skip


def damage(whole, folder, seed, number):
    """Write a damaged copy of a bundle into an empty folder; return its path and what was done to it."""
    rng = np.random.default_rng((seed, number))
    files = {path.name: path.read_bytes() for path in sorted(Path(whole).iterdir())}
    count = 1 + (rng.random() < 0.15)
    kinds = [str(kind) for kind in rng.choice(list(HARMS), count, replace=False, p=WEIGHTS)]
    repaired = rng.random() < 0.8
    done = [f"{kind}: {HARMS[kind](files, rng)}" for kind in kinds]
    if repaired:
        repair(files)
    if rng.random() < 0.35:
        path = Path(folder) / "bundle.zip"
        path.write_bytes(zipped(files))
        if rng.random() < 0.5:
            done.append(f"zip: {harm_zip(path, rng)}")
    else:
        path = Path(folder) / "bundle"
        path.mkdir()
        for name, content in files.items():
            (path / name).write_bytes(content)
        if rng.random() < 0.2:
            done.append(f"folder: {harm_folder(path, rng)}")
    return path, f"{'repaired' if repaired else 'as it is'}, " + "; ".join(done)


def repair(files):
    """Let the manifest vouch for the files as they are, as far as it can still be read."""
    with suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
        manifest = json.loads(files[MANIFEST])
        for name, entry in manifest["files"].items():
            if name in files:
                entry.update(sha256=hashlib.sha256(files[name]).hexdigest(), bytes=len(files[name]))
        files[MANIFEST] = json.dumps(manifest).encode()


# JSON


def _paths(value, path=()):
    yield path
    if isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _paths(each, (*path, key))


def _at(value, path):
    for key in path:
        value = value[key]
    return value


def _harm_json(content, rng, where=()):
    """Change, remove, rename or exchange a field somewhere below ``where``."""
    document = json.loads(content)
    paths = [path for path in _paths(document) if path[: len(where)] == where and len(path) > len(where)]
    path = paths[int(rng.integers(len(paths)))]
    above, key = _at(document, path[:-1]), path[-1]
    match int(rng.integers(10)):
        case 0:
            del above[key]
            done = "removed"
        case 1 if isinstance(above, dict):
            above[f"{key}s"] = above.pop(key)
            done = "renamed"
        case 2:
            other = paths[int(rng.integers(len(paths)))]
            above[key] = json.loads(json.dumps(_at(document, other)))
            done = f"made {'/'.join(map(str, other))[:60]}"
        case 3 if isinstance(above[key], int | float):
            above[key] = above[key] + int(rng.choice([1, -1, 7, 1000]))
            done = "changed a little"
        case 4 if isinstance(above[key], list) and above[key]:
            above[key].pop()
            done = "shortened"
        case 5 if isinstance(above[key], list) and len(above[key]) > 1:
            above[key].reverse()
            done = "reversed"
        case _:
            above[key] = JUNK[int(rng.integers(len(JUNK)))]
            done = f"made {str(above[key])[:20]!r}"
    return json.dumps(document).encode(), f"{'/'.join(map(str, path))[:80]} {done}"


def _manifest(files, rng):
    raw = int(rng.integers(30))
    if raw == 0:
        files[MANIFEST] = b"[" * 100_000
        return "deep"
    if raw == 1:
        files[MANIFEST] = (
            files[MANIFEST].rstrip()[:-1] + b"," + b",".join(b'"%d":0' % i for i in range(10**5)) + b"}"
        )
        return "many keys"
    if raw < 6:
        files[MANIFEST], done = harm_bytes(files[MANIFEST], rng)
        return done
    sections = ("special_ids", "buckets", "model", "signatures", "files", "search", "languages", "made_from")
    present = [each for each in sections if each in json.loads(files[MANIFEST])]
    where = () if rng.random() < 0.4 else (str(rng.choice(present)),)
    try:
        files[MANIFEST], done = _harm_json(files[MANIFEST], rng, where)
    except ValueError:  # nothing below
        files[MANIFEST], done = _harm_json(files[MANIFEST], rng)
    return done


def _tokenizer(files, rng):
    name = str(rng.choice([name for name in files if name.endswith("tokenizer.json")]))
    document = json.loads(files[name])
    match int(rng.integers(12)):
        case 0:
            charsmap = str(rng.choice(["AAAAAAAA/////w==", "BAAAAP////8AAAAA"]))
            document["normalizer"], done = {"type": "Precompiled", "precompiled_charsmap": charsmap}, "panics"
        case 1:
            replace = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
            document["normalizer"], done = {"type": "Sequence", "normalizers": [replace] * 60}, "grows"
        case 2:
            pattern = {"Regex": str(rng.choice(["(a+)+$", "(a|a)*$", "(.*)*x"]))}
            split = {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}
            document["pre_tokenizer"], done = split, "explodes"
        case 3:
            strategy = {"Fixed": 2**33}
            padding = {"strategy": strategy, "direction": "Right", "pad_to_multiple_of": None}
            padding |= {"pad_id": 0, "pad_type_id": 0, "pad_token": "x"}
            document["padding"], done = padding, "pads"
        case 4:
            truncation = {"direction": "Right", "max_length": 0, "strategy": "LongestFirst", "stride": 9}
            document["truncation"], done = truncation, "cuts"
        case 5:
            vocabulary = document["model"]["vocab"]
            if isinstance(vocabulary, dict):
                document["model"]["vocab"] = {
                    piece: i + int(rng.choice([1, 2**31])) for piece, i in vocabulary.items()
                }
            done = "other ids"
        case 6 | 7:
            files[name], done = harm_bytes(files[name], rng)
            return f"{name} {done}"
        case 8:
            where = (str(rng.choice([key for key, value in document.items() if isinstance(value, dict)])),)
            files[name], done = _harm_json(files[name], rng, where)
            return f"{name} {done}"
        case _:
            del document["model"]["vocab"]
            small = {**document, "model": document["model"]}
            _, done = _harm_json(json.dumps(small).encode(), rng)
            files[name], done = _harm_json(files[name], rng)
            return f"{name} {done}"
    files[name] = json.dumps(document).encode()
    return f"{name} {done}"


def _model(files, rng):
    files[MODEL], done = damaged_model(files[MODEL], rng)
    return done


def _report(files, rng):
    name = str(rng.choice([name for name in files if name.startswith("report")] or [MODEL]))
    files[name], done = harm_bytes(files[name], rng)
    return f"{name} {done}"


HARMS = {
    "manifest": _manifest,
    "model": _model,
    "tokenizer": _tokenizer,
    "arrays": harm_arrays,
    "report": _report,
}
WEIGHTS = (0.35, 0.3, 0.14, 0.18, 0.03)


if __name__ == "__main__":
    import argparse
    import sys

    from damage_cases import try_cases

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundles", type=Path)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    wholes = sorted(path.parent for path in options.bundles.glob(f"*/{MANIFEST}"))
    found = try_cases(wholes, options.seed, range(options.first, options.first + options.cases))
    print(found.summary())
    sys.exit(1 if found.wrong else 0)
