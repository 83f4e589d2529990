"""SentencePiece models trained on made-up sentences, MarianMT folders of them, and texts to try them on."""

import io
import json
import random
import unicodedata

from keras_attn.device.proof.tokenizer_proof import HARD_TEXTS

ENGLISH = """
a dog runs through the snow while two men are watching from behind their house and nobody knows why it likes
cold water so much women children playing football near walking street red green yellow little girl boy
jumping over wooden fence sitting table reading newspaper coffee morning evening
"""
GERMAN = """
ein Hund läuft durch den Schnee während zwei Männer hinter ihrem Haus zuschauen und niemand weiß warum er
kaltes Wasser so sehr mag Frauen Kinder spielen Fußball neben Straße rot grün gelb kleine Mädchen
Junge springt über hölzernen Zaun sitzt Tisch liest Zeitung Kaffee Morgen Abend schön Größe
"""
JAPANESE = "猫 は 犬 を 見る 東京 の 天気 が いい 水 飲み ます 子供 たち 公園 で 遊ん でいる 日本語 本 読む"
# Few rules of its own make a small file: of a space, of two characters for one, and one of composition.
RULES = "A0\t20\n9\t20\nFB01\t66 69\n65 301\tE9\n2026\t2E 2E 2E\n"


def sentences(words, count, seed=0):
    """Sentences of made-up grammar."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        chosen = rng.choices(words.split(), k=rng.randrange(3, 12))
        chosen[0] = chosen[0].capitalize()
        made.append(" ".join(chosen) + rng.choice([".", "!", "?", ", ok.", " 12.", " (1)"]))
    return made


def train(path, lines, size=200, **options):
    """Train a model and write it to `path`."""
    import sentencepiece

    defaults = {"character_coverage": 1.0, "minloglevel": 2, "hard_vocab_limit": False}
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=written, vocab_size=size, **{**defaults, **options}
    )
    path.write_bytes(written.getvalue())


def write_folder(folder, *, drop=0, codes=(), separate=False, **config):
    """Write vocab.json for the two models of a folder; `drop` of source.spm's pieces are left out."""
    import sentencepiece

    sides = []
    for name in ("source.spm", "target.spm"):
        model = sentencepiece.SentencePieceProcessor(model_file=str(folder / name))
        pieces = [model.id_to_piece(i) for i in range(model.get_piece_size())]
        sides.append([piece for piece in pieces if piece not in ("<unk>", "<s>", "</s>")])
    dropped = set(random.Random(0).sample(sides[0], drop))
    source, target = ([piece for piece in side if piece not in dropped] for side in sides)
    files = (
        {"vocab.json": source, "target_vocab.json": target} if separate else {"vocab.json": source + target}
    )
    for name, pieces in files.items():
        first = ["</s>", "<unk>", *(["<pad>"] if separate else [])]
        tokens = dict.fromkeys([*first, *pieces, *codes, "<pad>"])
        numbers = {token: number for number, token in enumerate(tokens)}
        (folder / name).write_text(json.dumps(numbers, ensure_ascii=False), encoding="utf-8")
    config = {"source_lang": "en", "target_lang": "de", "separate_vocabs": separate, **config}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def texts():
    """Some 600 texts: three languages, many scripts, odd spaces, marks apart, codes, and long words."""
    rng = random.Random(1)
    plain = [text for words in (ENGLISH, GERMAN, JAPANESE) for text in sentences(words, 120, seed=9)]
    apart = [unicodedata.normalize("NFD", text) for text in sentences(GERMAN, 40, seed=8)]
    japanese = sentences(JAPANESE, 20, seed=7)
    spaces = [text.replace(" ", rng.choice(["  ", "\t", "\u00a0", "\u3000 ", "\n"])) for text in plain[::6]]
    mixed = [
        "".join([*rng.sample(one, len(one) // 2), other]) for one, other in zip(plain, apart, strict=False)
    ]
    long = ["Zz" * 150, "Donaudampfschifffahrt" * 12, "été " * 40, "日本語" * 60, "a" * 13, "…" * 9]
    coded = [f"{code}{text}" for code in CODES for text in (" Hello", "Hello", "", " 日本", "ß")]
    odd = [
        "", " ", " \t\n", "▁x", "a▁", "ü", "üß ü", "üü ß", "x日y", "ｶﾞｷﾞﾊﾟ ｱｲｳ", "a</s> b <pad>c<unk>",
        "<s>a</s>", "</s>", "a >>fra<< b", " >>fra<< b", ">>fra Hello", "＞＞fra＜＜ a", "<0x41>", "12.5 %",
        "שָׁלוֹם مُحَمَّد ١٢٣", "Việt Nam đẹp", "क्षत्रिय ที่นี่", "👩\u200d👩\u200d👧 ❤️ 1\ufe0f\u20e3 🇩🇪",
    ]  # fmt: skip
    nfd = [unicodedata.normalize("NFD", text) for text in [*japanese, "Việt Nam đẹp", "각 한국어"]]
    return [text[:300] for text in HARD_TEXTS] + plain + apart + nfd + spaces + mixed + long + coded + odd


CODES = (">>fra<<", ">>deu<<", ">>xyz<<", ">><<", ">>fra<<>>deu<<", ">>日<<")
