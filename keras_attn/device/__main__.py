"""``python -m keras_attn.device BUNDLE TEXT...``: run, verify or time a bundle on this machine.

It is also the program in the single file ``keras_attn-device.pyz``, see ``keras_attn_export.single_file``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from keras_attn import __version__
from keras_attn.device.errors import one_line
from keras_attn.device.standard_streams import message_of, run_with_streams, visible

_PROGRAM = "python -m keras_attn.device"
_EXAMPLES = """examples:
  {program} BUNDLE "A man is riding a bike."
  {program} BUNDLE - --beam 5 < sentences.txt
  {program} BUNDLE "A dog." --beam 5 --n-best 3 --json
  {program} BUNDLE "Once upon a time" --temperature 0.8 --top-p 0.9 --stream
  {program} BUNDLE --verify
  {program} BUNDLE --benchmark --threads 2

KERAS_ATTN_RUNTIME chooses among installed interpreters: ai-edge-litert, tflite-runtime or tensorflow
exit codes: 0 done, 1 the proof failed, 2 bad input
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        """Say what is wrong in one line, and exit with 2."""
        self.exit(2, f"{self.prog}: {message}\n")


def _parser(program: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=program,
        description="Run a bundle on this machine, with NumPy, tokenizers and LiteRT only.",
        epilog=_EXAMPLES.format(program=program),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"keras-attn {__version__}")
    parser.add_argument("bundle", metavar="BUNDLE", help="bundle folder or .zip")
    parser.add_argument(
        "text", metavar="TEXT", nargs="*", help="texts to answer; - reads lines of standard input"
    )
    parser.add_argument("--beam", type=int, help="hypotheses kept per sentence (default: 1, greedy)")
    parser.add_argument(
        "--max-length",
        type=int,
        help="most tokens to produce (default: twice the source's and ten; 50 after a prompt)",
    )
    parser.add_argument("--length-penalty", type=float, help="exponent of the length (default: 1.0)")
    parser.add_argument("--n-best", type=int, help="translations to print per text (default: 1)")
    parser.add_argument("--temperature", type=float, help="draw the tokens that go on (default: 0, the best)")
    parser.add_argument("--top-k", type=int, help="draw from so many most probable tokens")
    parser.add_argument("--top-p", type=float, help="draw from the tokens that hold this much probability")
    parser.add_argument("--seed", type=int, help="draw the same again")
    parser.add_argument("--stream", action="store_true", help="print what goes on as it comes")
    parser.add_argument("--prompt", metavar="NAME", help="prompt that is written before texts to embed")
    parser.add_argument("--pair", metavar="TEXT", help="second text, for classifiers of pairs")
    parser.add_argument("--top", type=int, help="words to print for each mask (default: 5)")
    parser.add_argument(
        "--truncate",
        action="store_true",
        default=None,
        help="read part of texts that are too long, the beginning or of a prompt the end, and refuse none",
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of the interpreter (default: 1)")
    parser.add_argument(
        "--weight-cache",
        metavar="FOLDER",
        help="keep a large model's weights packed there, to open it faster and with less memory",
    )
    parser.add_argument(
        "--whole-vocabulary", action="store_true", help="score all tokens, where the bundle has a shortlist"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object per text, or per report")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--verify", action="store_true", help="repeat the bundle's proof on this machine")
    action.add_argument("--benchmark", action="store_true", help="measure latency, speed and memory")
    return parser


def main(arguments: Sequence[str] | None = None, program: str = _PROGRAM) -> int:
    """Run the command line, which calls itself ``program``; return its exit code."""
    parser = _parser(program)
    # Texts may stand on both sides of the options.
    options = parser.parse_intermixed_args(arguments)
    try:
        if options.verify or options.benchmark:
            if options.text:
                parser.error("--verify and --benchmark take no TEXT; they use the bundle's proof")
            return _verify(options) if options.verify else _benchmark(options)
        if options.stream and options.json:
            parser.error("--stream prints text as it comes, which --json cannot")
        if not options.text:
            parser.error("give TEXT, or - to read lines of standard input")
        return _run(options, parser.prog)
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


def _run(options: argparse.Namespace, program: str) -> int:
    from keras_attn.device import load
    from keras_attn.device.printing import OPTIONS, print_answers

    names = {name for task in OPTIONS.values() for name in task}
    given = {name: getattr(options, name) for name in names}
    loaded = load(options.bundle, options.threads, options.weight_cache, options.whole_vocabulary)
    refused = print_answers(
        loaded,
        given,
        options.text,
        stream=options.stream,
        as_json=options.json,
        complain=lambda line: print(f"{program}: {visible(line)}", file=sys.stderr),
    )
    return 2 if refused else 0


def _verify(options: argparse.Namespace) -> int:
    from keras_attn.device.proof.verify import verify

    report = verify(options.bundle, threads=options.threads)
    print(json.dumps(report.to_json(), ensure_ascii=False) if options.json else visible(report))
    return 0 if report.ok else 1


def _benchmark(options: argparse.Namespace) -> int:
    from keras_attn.device.benchmark import as_lines, benchmark

    figures = benchmark(options.bundle, threads=options.threads, beam=options.beam)
    print(json.dumps(figures) if options.json else as_lines(figures))
    return 0


def run(program: str = _PROGRAM) -> int:
    """Run the command line of this process; return its exit code."""
    return run_with_streams(lambda: main(program=program), program)


if __name__ == "__main__":
    sys.exit(run())
