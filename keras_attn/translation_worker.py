"""A process that translates its share of a training's texts: `python -m keras_attn.translation_worker`.

It reads a folder that `keras_attn.training.machine_translation` has prepared, and writes into it.
"""

import json
import sys
from pathlib import Path
from typing import Any

from keras_attn.child_process import end_with_parent
from keras_attn.device.files.atomic_write import write_text
from keras_attn.errors import KerasAttnError, shortened
from keras_attn.training.machine_translation import REQUEST, translations_of


def translate_parts(folder: Path, number: int, workers: int) -> None:
    """Translate every part of a folder that has no translations yet and is this worker's.

    Args:
        folder: with `request.json` and `texts-NNNNN.json`; receives `translations-NNNNN.json`, a list of the
            best translations of each text, empty for a text that the model is too small for.
        number: of this worker, from 0 on.
        workers: int.

    Raises:
        KerasAttnError: if the model cannot be opened, or does not translate this direction.
    """
    from keras_attn.loading import load

    request = json.loads((folder / REQUEST).read_text("utf-8"))
    parts = sorted(folder.glob("texts-*.json"))[number::workers]
    parts = [part for part in parts if not translations_of(part).is_file()]
    if not parts:
        return
    translator = load(request["model"], task="translation")
    options = {"beam": request["beam"], "n_best": request["n_best"]}
    if translator.languages:
        options |= {side: request[side] for side in ("source", "target")}
    for part in parts:
        found = translate_all(translator, json.loads(part.read_text("utf-8")), options)
        write_text(translations_of(part), json.dumps(found, ensure_ascii=False))


def translate_all(translator: Any, texts: list[str], options: dict[str, Any]) -> list[list[str]]:
    """Return the translations of each text, the best first."""
    found: list[list[str]] = [[] for _ in texts]
    fitting = [number for number, text in enumerate(texts) if translator.fits(text)]
    results = translator.translate([texts[number] for number in fitting], **options)
    for number, result in zip(fitting, results, strict=True):
        found[number] = [output.text for output in result.outputs]
    return found


def main() -> int:
    """Translate what the arguments name: the folder, this worker's number and the number of workers."""
    end_with_parent()
    folder, number, workers = sys.argv[1:]
    try:
        translate_parts(Path(folder), int(number), int(workers))
    except (KerasAttnError, OSError, ImportError) as error:
        told = " ".join(str(error).split()) if isinstance(error, KerasAttnError) else shortened(error)
        print(told, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
