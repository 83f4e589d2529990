# %% [markdown] tags=["en"]
# ## 7. Onto the phone: quantize, export, prove, run, serve
#
# A phone runs neither Keras nor a GPU server. It runs **LiteRT** (formerly TensorFlow Lite), which reads one `.tflite` file.
#
# **Quantize.** Weights are stored as 8-bit integers, with one scale for each row: a quarter of the size, and integer
# arithmetic is fast. What is lost is at most half a step of the scale:

# %% [markdown] tags=["ja"]
# ## 7. スマートフォンへ：量子化、書き出し、検証、実行、配信
#
# スマートフォンで動くのは Keras でも GPU サーバーでもなく、1 つの `.tflite` ファイルを読む **LiteRT**（旧 TensorFlow Lite）です。
#
# **量子化。** 重みを 8 ビット整数で保存し、行ごとに 1 つのスケールを持たせます。サイズは 4 分の 1 になり、整数演算は高速です。失われるのは、
# 最大でもスケールの半目盛り分です。

# %%
matrix = ops.convert_to_numpy(transformer.token_embedding.embeddings)
scale = np.abs(matrix).max(axis=1, keepdims=True) / 127
stored = np.round(matrix / scale).astype("int8")
error = np.abs(stored * scale - matrix) / scale
print(
    f"{matrix.nbytes:,} bytes → {stored.nbytes + 4 * scale.size:,} bytes, largest error {error.max():.2f} steps"
)

# %% [markdown] tags=["en"]
# **Export and prove.** `keras_attn.export` converts the Transformer, quantizes it, and compares the result with the Keras model:
# every score of the 32-bit file, then the tokens of the 8-bit one, then BLEU on held-out captions. If a check fails there is
# no bundle.

# %% [markdown] tags=["ja"]
# **書き出しと検証。** `keras_attn.export` は、Transformer を変換し、量子化し、結果を Keras のモデルと比べます。まず 32 ビット版のすべてのスコア、
# 次に 8 ビット版のトークン、最後に評価用の文での BLEU です。1 つでも検査に通らなければ、バンドルは作られません。

# %%
import tempfile
import time
from pathlib import Path

import keras_attn

folder = Path(tempfile.mkdtemp())
examples = [pair for test in held_out.values() for pair in test[:10]]
started = time.perf_counter()
bundle = keras_attn.export(
    transformer,
    folder / "captions-int8",
    "int8",
    tokenizer=tokenizer,
    examples=examples,
    lengths=[32],
    beam=2,
)
print(f"exported and proven in {time.perf_counter() - started:.0f} s")
for path in sorted((folder / "captions-int8").iterdir()):
    print(f"{path.stat().st_size:>10,} {path.name}")

# %% [markdown] tags=["en"]
# **Run.** The bundle needs NumPy, a tokenizer and LiteRT; neither Keras nor a backend. Same search, same methods, and the
# attention comes along:

# %% [markdown] tags=["ja"]
# **実行。** バンドルに必要なのは NumPy、トークナイザ、LiteRT だけで、Keras もバックエンドも要りません。探索もメソッドも同じで、アテンションも
# 取り出せます。

# %%
on_device = keras_attn.device.load(folder / "captions-int8")
found = on_device.translate("the hungry wolf waits and the gentle lady reads", alignments=True)
print(found.text)
pictures.alignment_page([found.to_alignment()])

# %%
sources = [text for text, _ in examples]
ours = [each.text for each in on_device.translate(sources)]
keras_s = [each.text for each in translators["Transformer"].translate(sources)]
print(f"{sum(a == b for a, b in zip(ours, keras_s, strict=True))} of {len(ours)} as Keras translates them")
started = time.perf_counter()
for text in sources:
    on_device.translate(text)
print(
    f"{1000 * (time.perf_counter() - started) / len(sources):.1f} ms for a sentence, on this machine, one thread"
)

# %% [markdown] tags=["en"]
# **Verify.** The bundle carries its proof, so that a device can repeat it: a runtime that computes nonsense is found out where
# it runs.

# %% [markdown] tags=["ja"]
# **再検証。** バンドルは検証データを持っているので、デバイス上で検査を繰り返せます。正しく計算しないランタイムは、その場で見つかります。

# %%
report = keras_attn.device.verify(folder / "captions-int8")
for check in report.checks:
    print("ok  " if check.ok else "FAIL", check.name, "-", check.detail)
print("the proof holds" if report.ok else "the proof FAILS")

# %% [markdown] tags=["en"]
# And it can fail. Damage one byte of the model, and the same call says so:

# %% [markdown] tags=["ja"]
# 検査は失敗することもあります。モデルの 1 バイトを壊すと、同じ呼び出しがそれを見つけます。

# %%
import shutil

damaged = shutil.copytree(folder / "captions-int8", folder / "damaged", dirs_exist_ok=True)
content = bytearray((damaged / "model.tflite").read_bytes())
content[len(content) // 2] ^= 1
(damaged / "model.tflite").write_bytes(content)
failed = next(check for check in keras_attn.device.verify(damaged).checks if not check.ok)
print("FAIL", failed.name, "-", failed.detail.replace(str(folder), "…"))

# %% [markdown] tags=["en"]
# **Serve.** Threads may share the object, so a server takes a few lines of the standard library:

# %% [markdown] tags=["ja"]
# **配信。** オブジェクトは複数のスレッドで共有できるので、サーバーは標準ライブラリの数行で書けます。

# %%
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import urlopen


class Translate(BaseHTTPRequestHandler):
    """Translates the body of a POST request."""

    def do_POST(self):
        """Answer with JSON."""
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        answer = json.dumps(on_device.translate(text).to_json(), ensure_ascii=False).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments):
        """Log nothing."""


server = ThreadingHTTPServer(("127.0.0.1", 0), Translate)
threading.Thread(target=server.serve_forever, daemon=True).start()
with urlopen(f"http://127.0.0.1:{server.server_port}", b"the black cat sleeps") as response:
    print(json.loads(response.read())["outputs"][0]["text"])
server.shutdown()

# %% [markdown] tags=["en"]
# The same bundle runs in a browser, on Android and on iOS: `keras-attn web BUNDLE --output FOLDER` writes the web app, and
# docs/mobile.md shows the rest.
#
# Now it is your turn: `Assignment.ipynb`.

# %% [markdown] tags=["ja"]
# 同じバンドルは、ブラウザでも Android でも iOS でも動きます。`keras-attn web BUNDLE --output FOLDER` で Web アプリを作れます。その他は
# docs/mobile.md をご覧ください。
#
# 次は皆さんの番です：`Assignment.ja.ipynb`。
