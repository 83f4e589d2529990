"""The real LiteRT as a process that the stand-ins for its Kotlin and Swift classes talk to.

It reads from standard input, again and again: a signature's name, and its input tensors; it answers with
the output tensors on standard output. A number is four bytes, the highest first; a name or a tensor's
content is its length and its bytes; tensors are their number, and a name and a content each.
"""

import struct
import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def main(model: str) -> None:
    """Answer until standard input ends."""
    interpreter, runners = Interpreter(model, num_threads=1), {}
    while (signature := read_bytes()) is not None:
        name = signature.decode()
        if name not in runners:
            runners[name] = interpreter.get_signature_runner(name)
        described = runners[name].get_input_details()
        inputs = {}
        for _ in range(read_number()):
            tensor, content = read_bytes().decode(), read_bytes()
            inputs[tensor] = np.frombuffer(content, described[tensor]["dtype"]).reshape(
                described[tensor]["shape"]
            )
        outputs = runners[name](**inputs)
        sys.stdout.buffer.write(struct.pack(">i", len(outputs)))
        for tensor, value in outputs.items():
            write_bytes(tensor.encode())
            write_bytes(np.ascontiguousarray(value).tobytes())
        sys.stdout.buffer.flush()


def read_number() -> int | None:
    """Read a number; none at the end."""
    content = sys.stdin.buffer.read(4)
    return struct.unpack(">i", content)[0] if len(content) == 4 else None


def read_bytes() -> bytes | None:
    """Read a length and as many bytes; none at the end."""
    length = read_number()
    return None if length is None else sys.stdin.buffer.read(length)


def write_bytes(content: bytes) -> None:
    """Write a length and the bytes."""
    sys.stdout.buffer.write(struct.pack(">i", len(content)) + content)


if __name__ == "__main__":
    main(sys.argv[1])
