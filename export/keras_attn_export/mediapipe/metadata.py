"""A .tflite file's metadata, as MediaPipe reads it: what inputs and outputs are, vocab.txt and labels.txt.

The metadata is a flatbuffer of the schema metadata_schema.fbs of MediaPipe, in a buffer of the model; the
text files are a .zip behind the model. Tables are written by the number of each of their fields.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence

import flatbuffers

BUFFER = b"TFLITE_METADATA"
VOCABULARY, LABELS = "vocab.txt", "labels.txt"
_IDENTIFIER, _PARSER = b"M001", "1.5.0"
_EPOCH = (1980, 1, 1, 0, 0, 0)

# Numbers of fields, in the order in which the schema names them.
_FILE_NAME, _FILE_DESCRIPTION, _FILE_KIND = 0, 1, 2
_KIND_LABELS, _KIND_VOCABULARY = 2, 5
_TENSOR_NAME, _TENSOR_DESCRIPTION, _TENSOR_CONTENT, _TENSOR_FILES = 0, 1, 3, 6
_CONTENT_PROPERTIES_KIND, _CONTENT_PROPERTIES, _FEATURE = 0, 1, 1
_UNIT_KIND, _UNIT_OPTIONS, _BERT_TOKENIZER = 0, 1, 4
_GRAPH_INPUTS, _GRAPH_OUTPUTS, _GRAPH_INPUT_UNITS = 2, 3, 5
_MODEL_NAME, _MODEL_DESCRIPTION, _MODEL_GRAPHS, _MODEL_PARSER = 0, 1, 3, 7


def make_metadata(name: str, inputs: Mapping[str, str], output: tuple[str, str], labelled: bool) -> bytes:
    """Return the metadata of a file whose text is split by the pieces of vocab.txt.

    Args:
        name: what the model is.
        inputs: descriptions of the inputs by name, in their order in the file.
        output: name and description of the output.
        labelled: whether labels.txt names the output's values.
    """
    tables = _Tables()
    vocabulary = tables.file(VOCABULARY, "The pieces of words by id.", _KIND_VOCABULARY)
    tokenizer = tables.table(1, {0: tables.vector([vocabulary])})
    unit = tables.table(2, {_UNIT_OPTIONS: tokenizer}, {_UNIT_KIND: _BERT_TOKENIZER})
    read = [tables.tensor(each, description) for each, description in inputs.items()]
    labels = [tables.file(LABELS, "The labels by number.", _KIND_LABELS)] if labelled else []
    returned = tables.tensor(*output, files=labels)
    graph = tables.table(
        6,
        {
            _GRAPH_INPUTS: tables.vector(read),
            _GRAPH_OUTPUTS: tables.vector([returned]),
            _GRAPH_INPUT_UNITS: tables.vector([unit]),
        },
    )
    model = tables.table(
        8,
        {
            _MODEL_NAME: tables.text(name),
            _MODEL_DESCRIPTION: tables.text("Exported and proven by keras-attn."),
            _MODEL_GRAPHS: tables.vector([graph]),
            _MODEL_PARSER: tables.text(_PARSER),
        },
    )
    tables.builder.Finish(model, file_identifier=_IDENTIFIER)
    return bytes(tables.builder.Output())


def with_files(model: bytes, files: Mapping[str, Sequence[str]]) -> bytes:
    """Return a .tflite file with a .zip of text files behind it, as its metadata names them.

    Args:
        model: the .tflite file.
        files: lines by name.
    """
    written = io.BytesIO()
    written.write(model)
    with zipfile.ZipFile(written, "a") as archive:
        for name, lines in files.items():
            content = "".join(f"{line}\n" for line in lines)
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content.encode())
    return written.getvalue()


class _Tables:
    """Writes tables: what they contain first."""

    def __init__(self) -> None:
        self.builder = flatbuffers.Builder(1024)

    def text(self, value: str) -> int:
        return self.builder.CreateString(value)

    def vector(self, tables: Sequence[int]) -> int:
        self.builder.StartVector(4, len(tables), 4)
        for each in reversed(tables):
            self.builder.PrependUOffsetTRelative(each)
        return self.builder.EndVector()

    def table(self, fields: int, tables: Mapping[int, int], kinds: Mapping[int, int] | None = None) -> int:
        """Write a table of that many fields: offsets of tables, texts and vectors, and single bytes."""
        write: Callable[[int, int, int], None] = self.builder.PrependUOffsetTRelativeSlot
        self.builder.StartObject(fields)
        for number, offset in tables.items():
            write(number, offset, 0)
        for number, kind in (kinds or {}).items():
            self.builder.PrependUint8Slot(number, kind, 0)
        return self.builder.EndObject()

    def file(self, name: str, description: str, kind: int) -> int:
        texts = {_FILE_NAME: self.text(name), _FILE_DESCRIPTION: self.text(description)}
        return self.table(5, texts, {_FILE_KIND: kind})

    def tensor(self, name: str, description: str, files: Sequence[int] = ()) -> int:
        texts = {_TENSOR_NAME: self.text(name), _TENSOR_DESCRIPTION: self.text(description)}
        feature = self.table(0, {})
        content = self.table(3, {_CONTENT_PROPERTIES: feature}, {_CONTENT_PROPERTIES_KIND: _FEATURE})
        vectors = {_TENSOR_FILES: self.vector(files)} if files else {}
        return self.table(7, {**texts, _TENSOR_CONTENT: content, **vectors})
