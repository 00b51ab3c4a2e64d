"""toylm VERB ..., which is also python -m toylm VERB ...

A verb is a module with two functions: `build_parser(parser)` adds its arguments, `run(args)` does the work. Only the module
of the chosen verb is imported, so that `toylm --help` answers at once. A mistake of the user's becomes one line on stderr and
exit status 2; `--debug` shows the traceback.
"""

import argparse
import importlib
import os
import sys

from . import __version__
from .errors import USER_ERRORS, nearest
from .help import HelpFormatter

# verb -> (its module in toylm.commands, what it does, in one line)
VERBS = {
    "train": ("train", "train a language model on text"),
    "generate": ("generate", "write text with a trained model"),
    "evaluate": ("evaluate", "loss, perplexity and bits per byte of a model on a text"),
    "fit": ("fit", "fit a part of a model, or a model of a text, in closed form; the loss before and after"),
    "data": ("data", "prepare text: split, tokenizer, token files; make more stories"),
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


def _overview():
    width = max(map(len, VERBS)) + 2
    lines = "\n".join(f"  {verb:<{width}}{line}" for verb, (_, line) in VERBS.items())
    return (
        "usage: toylm VERB [options]        (toylm VERB -h explains a verb)\n\n"
        "Train, fit in closed form and dissect small transformer language models on a CPU.\n\n"
        f"verbs:\n{lines}\n\n"
        "options:\n  --version   print the version\n  -h, --help  this page\n"
    )


def main(argv=None):
    """Entry point of the `toylm` command. Returns the exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_overview(), end="")
        return 0
    if argv[0] in ("--version", "version"):
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
    parser = argparse.ArgumentParser(
        prog=f"toylm {verb}", description=module.__doc__, formatter_class=HelpFormatter, allow_abbrev=False
    )
    module.build_parser(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return module, parser


def run_verb(verb, argv):
    """Parse `argv` for one verb and run it; errors meant for the user become one line and status 2."""
    debug = "--debug" in argv
    try:
        module, parser = parser_of(verb)
        # Intermixed: options may stand between two files. Not known with subcommands, which have arguments of their own.
        parse = parser.parse_args if parser._subparsers else parser.parse_intermixed_args
        return module.run(parse(argv)) or 0
    except KeyboardInterrupt:
        print(f"\ntoylm {verb}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (head, less) went away: not an error. Point stdout elsewhere so that the exit flush stays quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except USER_ERRORS as error:
        if debug:
            raise
        print(f"toylm {verb}: {_sentence(error)}", file=sys.stderr)
        return 2


def _sentence(error):
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
