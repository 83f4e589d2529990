"""The program `keras-attn`: its commands, its exit codes, and one line for every error a user can cause.

Exit codes: 0 done, 1 the answer is no (a proof failed), 2 bad input, 75 a training that SIGTERM
stopped has saved a checkpoint: the same command with --resume continues. Errors of this project and of
the command line are one line on stderr; anything else is a bug and shows its traceback.
"""

import signal
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from keras_attn import __version__
from keras_attn.commands import (
    attention,
    benchmark,
    demo,
    evaluate,
    export,
    inspect,
    plan,
    prove,
    run,
    train,
    verify,
)
from keras_attn.commands.terminal.environment import quiet_logs
from keras_attn.commands.terminal.screen import paragraphs
from keras_attn.commands.web import web
from keras_attn.device.standard_streams import message_of, run_with_streams, visible
from keras_attn.errors import EXTRAS, KerasAttnError

PROGRAM = "keras-attn"
DONE, BAD_INPUT, INTERRUPTED = 0, 2, 130


def _print_version(asked: bool) -> None:
    if asked:
        print(f"{PROGRAM} {__version__}")
        raise typer.Exit()


app = typer.Typer(
    name=PROGRAM,
    help="Attention models written in Keras, trained anywhere Keras trains, proven equal on the phone.",
    epilog="Start with: keras-attn demo",
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _program(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    pass


app.add_typer(train.app, name="train")
for module in (demo, export, verify, prove, run, evaluate, attention, benchmark, inspect, plan, web):
    command = getattr(module, module.__name__.rpartition(".")[2])
    app.command(help=paragraphs(command.__doc__), epilog=module.EXAMPLES)(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program and exit with its code."""
    given = sys.argv[1:] if arguments is None else arguments
    sys.exit(_run_process(lambda: run_program(given)))


def run_script(command: Callable[..., Any]) -> None:
    """Run a function as a program of its own, as the demos do, with the errors and exit codes of this one."""
    script = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    script.command()(command)
    run = lambda given: script(args=given, standalone_mode=False)  # noqa: E731
    sys.exit(_run_process(lambda: run_program(sys.argv[1:], run)))


def _run_process(run: Callable[[], int]) -> int:
    """Run a program so that SIGTERM and SIGHUP end its children and remove its temporary files."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores SIGHUP
            signal.signal(number, _end)
    return run_with_streams(run, PROGRAM)


def _end(number: int, frame: object) -> None:
    sys.exit(128 + number)


def run_program(arguments: Sequence[str], program: Callable[[list[str]], Any] | None = None) -> int:
    """Run the program, or another one with the same error handling, and return its exit code."""
    quiet_logs()
    try:
        code = (program or _keras_attn)(list(arguments))
        # Typer makes a code of Ctrl-C by itself, without a word.
        return _say("interrupted", code) if code == INTERRUPTED else int(code or DONE)
    except (KeyboardInterrupt, typer.Abort):
        return _say("interrupted", INTERRUPTED)
    except BrokenPipeError:
        return DONE  # The reader, such as head, has what it wanted.
    except SystemExit as end:
        if not isinstance(end.__context__, BrokenPipeError):
            raise
        return DONE  # So Rich ends a program whose reader has gone.
    except OSError as error:
        return _say(message_of(error), BAD_INPUT)
    except KerasAttnError as error:
        return _say(str(error), error.exit_code)
    except ImportError as error:
        if (name := (error.name or "").split(".")[0]) not in EXTRAS:
            raise
        return _say(f"{name} is not installed: pip install 'keras-attn[{EXTRAS[name]}]'", BAD_INPUT)
    except Exception as error:
        if hasattr(error, "format_message"):  # the command line's own: an unknown option, a wrong value
            return _say(error.format_message(), BAD_INPUT)  # pyright: ignore[reportAttributeAccessIssue]
        raise


def _keras_attn(arguments: list[str]) -> Any:
    return app(args=arguments or ["--help"], prog_name=PROGRAM, standalone_mode=False)


def _say(message: str, code: int) -> int:
    if message:  # none after `keras-attn train`, which has printed its help instead
        print(f"{PROGRAM}: {visible(' '.join(message.split()))}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
