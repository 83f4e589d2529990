"""Names of languages: a model's own codes, such as ``eng_Latn``, found by BCP 47's, such as ``en``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection

from keras_attn.device.errors import InputError

_TWO_LETTERS = """
afr:af aka:ak amh:am arb:ar asm:as ayr:ay azj:az bak:ba bam:bm bel:be ben:bn bod:bo bos:bs bul:bg cat:ca
ces:cs cym:cy dan:da deu:de dzo:dz ell:el eng:en epo:eo est:et eus:eu ewe:ee fao:fo pes:fa fij:fj fin:fi
fra:fr fuv:ff gaz:om gla:gd gle:ga glg:gl grn:gn guj:gu hat:ht hau:ha heb:he hin:hi hrv:hr hun:hu hye:hy
ibo:ig ind:id isl:is ita:it jav:jv jpn:ja kan:kn kas:ks kat:ka kaz:kk khk:mn khm:km kik:ki kin:rw kir:ky
kmr:ku knc:kr kon:kg kor:ko lao:lo lim:li lin:ln lit:lt ltz:lb lug:lg lvs:lv mal:ml mar:mr mkd:mk mlt:mt
mri:mi mya:my nld:nl nno:nn nob:nb npi:ne nya:ny oci:oc ory:or pan:pa pbt:ps plt:mg pol:pl por:pt quy:qu
ron:ro run:rn rus:ru sag:sg san:sa sin:si slk:sk slv:sl smo:sm sna:sn snd:sd som:so sot:st spa:es als:sq
srd:sc srp:sr ssw:ss sun:su swe:sv swh:sw tam:ta tat:tt tel:te tgk:tg tgl:tl tha:th tir:ti tsn:tn tso:ts
tuk:tk tur:tr twi:tw uig:ug ukr:uk urd:ur uzn:uz vie:vi wol:wo xho:xh ydd:yi yor:yo zho:zh zsm:ms zul:zu
lav:lv msa:ms nor:no fas:fa swa:sw aze:az orm:om mon:mn nep:ne pus:ps sqi:sq yid:yi uzb:uz
"""
_SHORT = {pair.partition(":")[0]: pair.partition(":")[2] for pair in _TWO_LETTERS.split()}
# Newer names of old codes, and the usual written form of macrolanguages.
_SAME = {"iw": "he", "in": "id", "ji": "yi", "no": "nb", "fil": "tl", "ns": "nso", "cmn": "zh"}
# The script that is meant where several are known and none is named.
_USUAL_SCRIPT = {"zh": "hans", "ks": "arab", "kr": "latn", "taq": "latn", "ace": "latn", "bjn": "latn"}
_SCRIPT_OF_REGION = {"zh-tw": "hant", "zh-hk": "hant", "zh-mo": "hant", "zh-cn": "hans", "zh-sg": "hans"}


def find_language(code: str, known: Collection[str]) -> str:
    """Return the code of a language as a model has it.

    Args:
        code: a model's own code, or a BCP 47 tag such as ``en``, ``pt-BR`` or ``zh-Hant``.
        known: the model's codes.

    Raises:
        InputError: the model does not know the language; the nearest codes are named.
    """
    if code in known:
        return code
    language, script = _parts(code)
    same = [each for each in known if _parts(each)[0] == language]
    wanted = script or _USUAL_SCRIPT.get(language)
    exact = [each for each in same if wanted is not None and _parts(each)[1] == wanted]
    found = exact or [each for each in same if script is None or _parts(each)[1] is None]
    if not language or len(found) != 1:
        raise InputError(_unknown(code, known, found or same))
    return found[0]


def _parts(code: str) -> tuple[str, str | None]:
    """Return the language of a code, of two letters if it has such, and its script."""
    first, *others = re.split("[-_]", code.strip("_").lower())
    language = _SHORT.get(first, first)
    script = next((part for part in others if len(part) == 4), None)
    if script is None:
        script = next((_SCRIPT_OF_REGION.get(f"{language}-{part}") for part in others), None)
    return _SAME.get(language, language), script


def _unknown(code: str, known: Collection[str], similar: Collection[str]) -> str:
    if similar:
        return f"the language {code!r} is not one of the model's: choose {' or '.join(sorted(similar))}."
    wanted = re.split("[-_]", code.lower())[0]

    def likeness(each: str) -> float:
        language, short = re.split("[-_]", each.lower())[0], _parts(each)[0]
        return max(difflib.SequenceMatcher(None, wanted, name).ratio() for name in (language, short))

    names = ", ".join(sorted(known, key=likeness, reverse=True)[:3])
    return f"the model does not know the language {code!r}; the nearest of its {len(known)} are {names}."
