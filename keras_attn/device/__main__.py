"""``python -m keras_attn.device BUNDLE TEXT...``: run, verify or time a bundle on this machine.

It is also the program in the single file ``keras_attn-device.pyz``, see ``keras_attn_export.single_file``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from keras_attn import __version__
from keras_attn.device.errors import one_line
from keras_attn.device.run_options import OPTIONS
from keras_attn.device.standard_streams import message_of, run_with_streams, visible

_PROGRAM = "python -m keras_attn.device"
_EXAMPLES = """examples:
  {program} BUNDLE "A man is riding a bike."
  {program} BUNDLE - --beam 5 < sentences.txt
  {program} BUNDLE "A dog." --beam 5 --n-best 3 --json
  {program} BUNDLE "Once upon a time" --temperature 0.8 --top-p 0.9 --stream
  {program} BUNDLE '{{"ids": [[3, 5, 2]]}}'
  {program} BUNDLE inputs.npz --output outputs.npz
  {program} BUNDLE --verify
  {program} BUNDLE --benchmark --threads 2

KERAS_ATTN_RUNTIME selects an installed interpreter: ai-edge-litert, tflite-runtime or tensorflow
exit codes: 0 done, 1 the proof failed, 2 bad input
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        """Print what is wrong in one line, and exit with 2."""
        self.exit(2, f"{self.prog}: {message}\n")


def _parser(program: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=program,
        usage="%(prog)s BUNDLE TEXT... [options]\n       %(prog)s BUNDLE --verify | --benchmark [options]",
        description="Run a bundle on this machine, with NumPy, tokenizers and LiteRT only.",
        epilog=_EXAMPLES.format(program=program),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"keras-attn {__version__}")
    parser.add_argument("bundle", metavar="BUNDLE", help="Bundle: a folder or a .zip.")
    parser.add_argument(
        "texts",
        metavar="TEXT",
        nargs="*",
        help="Texts to answer, or - for the lines of standard input; for a model of arrays JSON, or .npz or "
        ".npy files; none with --verify or --benchmark.",
    )
    for option in OPTIONS:
        if option.kind is bool:
            parser.add_argument(option.flag, action="store_true", help=option.help)
        else:
            kind: dict[str, Any] = {"type": option.kind, "default": option.default}
            kind |= {"dest": option.name, "metavar": option.metavar or option.name.upper()}
            parser.add_argument(option.flag, help=option.help, **kind)
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--verify", action="store_true", help="Repeat the bundle's proof on this machine.")
    action.add_argument("--benchmark", action="store_true", help="Measure latency, speed and memory.")
    return parser


def main(arguments: Sequence[str] | None = None, program: str = _PROGRAM) -> int:
    """Run the command line, which calls itself ``program``; return its exit code."""
    parser = _parser(program)
    # Texts may stand on both sides of the options.
    options = parser.parse_intermixed_args(arguments)
    try:
        if options.verify or options.benchmark:
            if options.texts:
                parser.error("--verify and --benchmark take no TEXT; they use the bundle's proof")
            return _verify(options) if options.verify else _benchmark(options)
        if not options.texts:
            parser.error("give TEXT, or - to read lines of standard input")
        from keras_attn.device.printing import run_bundle

        complain = lambda line: print(f"{parser.prog}: {visible(line)}", file=sys.stderr)  # noqa: E731
        return run_bundle(options.bundle, options.texts, vars(options), complain)
    except (ValueError, ImportError) as error:
        needed = isinstance(error, ModuleNotFoundError)
        hint = "; pip install numpy tokenizers ai-edge-litert" if needed else ""
        print(f"{parser.prog}: {visible(one_line(error))}{hint}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 0  # Whoever read the output has enough of it.
    except OSError as error:
        print(f"{parser.prog}: {visible(one_line(message_of(error)))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _verify(options: argparse.Namespace) -> int:
    from keras_attn.device.proof.verify import verify

    report = verify(options.bundle, threads=options.threads)
    print(json.dumps(report.to_json(), ensure_ascii=False) if options.json else visible(report))
    return 0 if report.ok else 1


def _benchmark(options: argparse.Namespace) -> int:
    from keras_attn.device.benchmark import as_lines, benchmark

    figures = benchmark(
        options.bundle,
        threads=options.threads,
        beam=options.beam,
        source=options.source,
        target=options.target,
    )
    print(json.dumps(figures) if options.json else as_lines(figures))
    return 0


def run(program: str = _PROGRAM) -> int:
    """Run the command line of this process; return its exit code."""
    return run_with_streams(lambda: main(program=program), program)


if __name__ == "__main__":
    sys.exit(run())
