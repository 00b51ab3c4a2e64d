"""toylm VERB ..., which is also python -m toylm VERB ...

A verb is a module with two functions: `build_parser(parser)` adds its arguments, `run(args)` does the work. Only the module
of the chosen verb is imported, so that `toylm --help` answers at once.

A mistake of the user's (toylm's own exceptions, and what the system refuses) becomes one line on stderr and exit status 2;
`--debug` shows the traceback. Any other exception is a fault of toylm's own: its traceback is shown, and the status is 1.
"""

import contextlib
import errno
import importlib
import os
import signal
import sys
import threading
import traceback

from . import __version__
from .errors import ToylmError, nearest
from .help import WIDTH, Parser, filled

# verb -> (its module in toylm.commands, what it does, in one line)
VERBS = {
    "train": ("train", "train a language model on text"),
    "generate": ("generate", "write text with a trained model"),
    "evaluate": ("evaluate", "loss, perplexity and bits per byte of a model on a text"),
    "fit": ("fit", "fit a part of a model, or a model of a text, in closed form; the loss before and after"),
    "data": ("data", "prepare text: split, tokenizer, token files; make more stories"),
    "cache": ("cache", "what is kept on disk and can be made again; remove it"),
    "info": ("info", "what a run or a checkpoint holds"),
    "export": ("export", "write a model for transformers, llama.cpp or llama2.c"),
    "import": ("import_", "make a checkpoint of a model from Hugging Face, llama2.c or GGUF"),
    "compare": ("compare", "gradient descent, one-shot fits and both on one text"),
    "bench": ("bench", "toylm beside PyTorch, JAX and BLAS, in turn, in one run"),
    "instant": ("instant", "run the battery of closed-form identities"),
    "task": ("task", "solve copy, bracket, reverse or running-sum in closed form"),
    "residual": ("residual", "what attention does beyond the one value it attends to most"),
    "coupling": ("coupling", "whether the blocks of a model act along the same directions"),
    "deep-elm-bench": ("deep_elm_bench", "deep ELM over depths, widths and lambdas, with plots"),
}
MOST_THREADS = 256  # that a command asks Numba for where there are fewer cores


def _overview():
    width = max(map(len, VERBS)) + 2
    lines = "\n".join(filled("\n".join(f"  {verb:<{width}}{line}" for verb, (_, line) in VERBS.items()), WIDTH))
    return (
        "usage: toylm VERB [options]     (toylm VERB -h or toylm help VERB explains it)\n\n"
        "Train, fit in closed form and dissect small transformer language models.\n\n"
        f"verbs:\n{lines}\n"
        "options:\n  -V, --version   print the version\n  -h, --help      this page\n"
    )


def main(argv=None):
    """Entry point of the `toylm` command. Returns the exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv[0:1] == ["help"] and len(argv) > 1:
        argv = [argv[1], "--help"]
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_overview(), end="")
        return 0
    if argv[0] in ("-V", "--version", "version"):
        print(f"toylm {__version__}")
        return 0
    verb = argv[0]
    if verb not in VERBS:
        print(f"toylm: no verb {verb!r}{nearest(verb, VERBS)} (toylm --help lists them)", file=sys.stderr)
        return 2
    return run_verb(verb, argv[1:])


def parser_of(verb):
    """(the verb's module, its argument parser)."""
    module = importlib.import_module(f"toylm.commands.{VERBS[verb][0]}")
    parser = Parser(prog=f"toylm {verb}", description=module.__doc__)
    module.build_parser(parser)
    if not parser._subparsers:
        parser.usage = parser.usage or parser.short_usage()
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.add_argument("-V", "--version", action="version", version=f"toylm {__version__}", help="print the version")
    return module, parser


def run_verb(verb, argv):
    """Parse `argv` for one verb and run it; returns the exit status.

    0: done; 1: a fault of toylm's own; 2: a mistake of the user's; 130: stopped with Ctrl-C; 143: ended by SIGTERM.
    """
    debug, begun = "--debug" in argv, False
    try:
        with _terminated_as_interrupted():
            module, parser = parser_of(verb)
            # Intermixed: options may stand between two files. Not known with subcommands, which have arguments of their own.
            args = parser.parse_args(argv) if parser._subparsers else parser.parse_intermixed_args(argv)
            _allow_threads(getattr(args, "threads", None))
            begun = True
            return module.run(args) or 0
    except KeyboardInterrupt as stopped:
        number, said = (signal.SIGTERM, "ended by SIGTERM") if isinstance(stopped, Terminated) else (signal.SIGINT, "interrupted")
        told = str(stopped) or said + ("" if begun else " before it began: the same command begins again")
        print(f"\ntoylm {verb}: {told}", file=sys.stderr)
        return 128 + number
    except BrokenPipeError:
        # The reader (head, less) went away: not an error. Point stdout elsewhere so that the exit flush stays quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ToylmError, OSError, MemoryError) as error:
        if debug:
            raise
        print(f"toylm {verb}: {_sentence(error)}", file=sys.stderr)
        return 2
    except Exception:
        if debug:
            raise
        traceback.print_exc()
        print(
            f"toylm {verb}: this is a fault of toylm {__version__}, not of yours. Please report it, with the lines above and the "
            f"command.",
            file=sys.stderr,
        )
        return 1


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


@contextlib.contextmanager
def _terminated_as_interrupted():
    """Inside, SIGTERM raises Terminated, so that what is open is closed and the last line says what became of the work."""

    def handle(number, frame):
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _allow_threads(threads):
    """Let Numba launch more threads than there are cores where that is asked for; it fixes their number when it is imported."""
    with contextlib.suppress(TypeError, ValueError):
        wanted = int(threads)
        if (os.cpu_count() or 1) < wanted <= MOST_THREADS and "numba" not in sys.modules:
            os.environ.setdefault("NUMBA_NUM_THREADS", str(wanted))


def _sentence(error):
    if isinstance(error, ToylmError):
        return " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return f"out of memory{f' ({error})' if str(error) else ''}: a smaller model, batch or context takes less"
    if isinstance(error, OSError) and error.strerror:
        gone = error.errno == errno.ENOENT and error.filename is None
        name = error.filename if error.filename is not None else "the current folder" if gone else "a file"
        return f"{name}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
