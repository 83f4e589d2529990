"""Damages of model.tflite: numbers of its tables changed where LiteRT follows them, and bytes anywhere."""

import numpy as np

from keras_attn.device.model_check.flatbuffer_reader import Flatbuffer
from keras_attn.device.model_check.model_tables import ModelFile

INT32 = (0, 1, -1, 2, 3, 5, 100, 65536, 2**31 - 1, -(2**31))


class _Places:
    """Where the numbers of a whole model's tables are, by kind."""

    def __init__(self, content):
        self.content = content
        model = Flatbuffer(content, "model").root(b"TFL3")
        self.codes, self.buffers, self.signatures = (model.children(field)[0] for field in (1, 4, 7))
        self.graphs = model.children(2)[0]
        self.tensors, self.operators = self.graphs.children(0)[0], self.graphs.children(3)[0]
        self.scales = self.tensors.tables(4)[0]
        self.options = self.operators.tables(4)[0]
        self.maps = [self.signatures.children(field)[0] for field in (0, 1)]

    def of(self, kind):
        match kind:
            case "dims":
                return self._elements(self.tensors, 0), 4
            case "type":
                return self._fields(self.tensors, 1), 1
            case "buffer":
                return self._fields(self.tensors, 2), 4
            case "operand":
                return np.concatenate([self._elements(self.operators, field) for field in (1, 2)]), 4
            case "opcode":
                return self._fields(self.operators, 0), 4
            case "options":
                return np.concatenate([self._fields(self.options, field) for field in range(9)]), 4
            case "options kind":
                return self._fields(self.operators, 3), 1
            case "code":
                return np.concatenate([self._fields(self.codes, field) for field in (0, 3)]), 1
            case "version":
                return self._fields(self.codes, 2), 4
            case "graph":
                return np.concatenate([self._elements(self.graphs, field) for field in (1, 2)]), 4
            case "signature":
                maps = [self._fields(each, 1) for each in self.maps]
                return np.concatenate([*maps, self._fields(self.signatures, 4)]), 4
            case "scales":
                return np.concatenate([self._fields(self.scales, 6), self._lengths(self.scales, 2)]), 4
            case "length":
                pairs = (self.operators, 1), (self.operators, 2), (self.tensors, 0), (self.graphs, 1)
                pairs = *pairs, (self.buffers, 0), (self.graphs, 3)
                return np.concatenate([self._lengths(*pair) for pair in pairs]), 4
            case "offset":
                tables = self.tensors, self.operators, self.graphs, self.buffers
                return np.concatenate([each.offsets for each in tables]), 4
            case "constant":
                model = ModelFile(self.content, "model")
                small = np.flatnonzero((model.kind == 2) & (model.bytes > 0) & (model.elements <= 16))
                ranges = [np.arange(model.start[i], model.start[i] + model.bytes[i], 4) for i in small]
                return np.concatenate(ranges), 4

    def _fields(self, tables, field):
        at = tables._at(field, 1)
        return (tables.offsets + at)[at > 0]

    def _elements(self, tables, field):
        vectors = tables.vectors(field, 4)
        pairs = zip(vectors.starts.tolist(), vectors.counts.tolist(), strict=True)
        return np.concatenate([start + 4 * np.arange(count) for start, count in pairs])

    def _lengths(self, tables, field):
        vectors = tables.vectors(field, 4 if field else 1)
        return vectors.starts[vectors.present] - 4


KINDS = (
    "dims", "type", "buffer", "operand", "operand", "opcode", "options", "options kind", "code", "version",
    "graph", "signature", "scales", "length", "offset", "constant", "bytes", "word", "cut",
)  # fmt: skip


def damaged_model(content, rng):
    """Return a model's bytes with one to three damages, and what they are."""
    data, places, kinds = bytearray(content), _Places(content), []
    for _ in range(int(rng.integers(1, 4))):
        kind = str(rng.choice(KINDS))
        kinds.append(kind)
        if kind == "cut":
            del data[int(rng.integers(len(data))) :]
            break
        if kind == "bytes":
            for place in rng.integers(len(data), size=int(rng.integers(1, 6))).tolist():
                data[place] ^= 1 << int(rng.integers(8))
            continue
        found, width = (np.arange(0, len(data) - 3, 4), 4) if kind == "word" else places.of(kind)
        if len(found):
            _change(data, found, width, rng)
    return bytes(data), "+".join(kinds)


def _change(data, places, width, rng):
    place = int(rng.choice(places))
    if width == 1:
        data[place] = int(rng.integers(0, 170))
        return
    old = int.from_bytes(data[place : place + 4], "little", signed=True)
    other = int(rng.choice(places))
    near = (old + 1, old - 1, old * 2, old + 7, old ^ 1, old + 4)
    value = int(rng.choice([*INT32, *near, int.from_bytes(data[other : other + 4], "little", signed=True)]))
    data[place : place + 4] = (value % 2**32).to_bytes(4, "little")
