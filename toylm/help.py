"""What the parsers of all verbs have in common: how help looks, what is forgiven, and what a mistake is answered."""

import argparse
import re
import shutil
import textwrap

from .errors import UsageError, nearest
from .fields import number

WIDTH = 80  # of a help page, at most


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Pages of at most WIDTH columns. Defaults are shown, unless there is none to show or the help tells it."""

    def __init__(self, prog, **options):
        width = min(WIDTH, shutil.get_terminal_size().columns)
        super().__init__(prog, **{"width": width, "max_help_position": 26, **options})

    def _get_help_string(self, action):
        default, said = action.default, action.help
        nothing = default is None or default is False or default in ("", [], argparse.SUPPRESS)  # 0 is one
        if nothing or said == argparse.SUPPRESS or "(default" in said:
            return said
        if isinstance(default, list):
            return f"{said} (default: {' '.join(map(str, default))})"
        return super()._get_help_string(action)

    def _split_lines(self, text, width):
        return _wrap(" ".join(text.split()), width)

    def _fill_text(self, text, width, indent):
        return "\n".join(filled(text, width))


def _wrap(text, width, **indents):
    return textwrap.wrap(text, width, break_on_hyphens=False, **indents)  # flags stay whole


def filled(text, width):
    """The lines of a text: paragraphs filled; in the rows of a table, which are indented, the right column."""
    paragraph = []
    for line in [*text.strip("\n").splitlines(), ""]:
        if line and not line.startswith(" "):
            paragraph.append(line)
            continue
        yield from _wrap(" ".join(paragraph), width)
        paragraph = []
        left, gap, right = re.fullmatch(r"( *\S.*?|)(?:( {2,})(\S.*))?", line.rstrip()).groups()
        column = len(left + (gap or ""))
        if len(line) <= width or not right:
            yield line.rstrip()
        elif column <= width // 2:
            yield from _wrap(right, width, initial_indent=left + gap, subsequent_indent=" " * column)
        else:
            yield left
            yield from _wrap(right, width, initial_indent=" " * 8, subsequent_indent=" " * 8)


class _Help(argparse.Action):
    """-h and --help-all: print the page and stop. const: whether it has all options."""

    def __init__(self, option_strings, dest, const=False, help=None):
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, const=const, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser, namespace, values, option_string=None):
        print(parser.format_help(self.const), end="")
        parser.exit()


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that takes `--learning_rate` for `--learning-rate`, any text as the value of an option that wants one, even
    where it begins with "-", and numbers such as 500k; and that answers a mistake with one line and the nearest flag.

    short: the options that -h explains, or None for all; --help-all explains every one.
    """

    short = None

    def __init__(self, **options):
        super().__init__(**{"formatter_class": HelpFormatter, "allow_abbrev": False, **options, "add_help": False})
        self.register("type", int, lambda text: _argument(text, whole=True))
        self.register("type", float, lambda text: _argument(text, whole=False))
        self.add_argument("-h", "--help", action=_Help, help="show this page")
        self.add_argument("--help-all", action=_Help, const=True, help="explain all options")

    def format_help(self, everything=False):
        """The help page; everything: with the options that -h leaves out."""
        shown = {"--help", "--help-all", *(self.short or ())}
        options = [action for action in self._actions if action.option_strings and action.help != argparse.SUPPRESS]
        left_out = [] if everything or self.short is None else [a for a in options if not shown & {*a.option_strings}]
        said = [action.help for action in left_out]
        try:
            for action in left_out:
                action.help = argparse.SUPPRESS
            page = super().format_help()
        finally:
            for action, help in zip(left_out, said):
                action.help = help
        return page + (f"\n{self.prog} --help-all explains {len(left_out)} more options.\n" if left_out else "")

    def short_usage(self):
        """The usage line with what must be given, and "[options]" for the rest."""
        many = {None: "{}", "?": "[{}]", "*": "[{} ...]", "+": "{0} [{0} ...]"}
        files = [many[a.nargs].format(a.metavar or a.dest) for a in self._actions if not a.option_strings]
        options = [a for a in self._actions if a.option_strings and a.required]
        required = [f"{a.option_strings[-1]} {a.metavar or '|'.join(a.choices)}" for a in options]
        return " ".join(["%(prog)s", *files, *required, "[options]"])

    def parse_known_args(self, args=None, namespace=None):
        """As argparse has it, after `normalised`."""
        return super().parse_known_args(None if args is None else self.normalised(args), namespace)

    def normalised(self, arguments):
        """The words of a command line, flags spelled as they are declared, and values that look like flags joined to theirs."""
        known, found, words = self._option_string_actions, [], list(arguments)
        while words:
            word = words.pop(0)
            if word == "--":
                return [*found, word, *words]
            flag, equals, value = word.partition("=")
            if flag.startswith("--") and flag not in known and flag.replace("_", "-") in known:
                word = flag.replace("_", "-") + equals + value
            nargs = known[word].nargs if word.startswith("--") and word in known else 0
            following = words[0] if words else ""
            # One that takes a value takes it whatever it looks like; one that may take it does not take "--...".
            takes = nargs is None or (nargs == "?" and not following.startswith("--"))
            if takes and following.startswith("-") and following not in known:
                word += f"={words.pop(0)}"
            found.append(word)
        return found

    def _get_values(self, action, arg_strings):
        if action.option_strings and arg_strings == ["--"]:  # argparse would take the word away, and give a list
            raise argparse.ArgumentError(action, "expected a value, not --")
        return super()._get_values(action, arg_strings)

    def error(self, message):
        """One line, status 2."""
        message = re.sub(r"^argument ([^:]+): (it )?", lambda m: m[1] + (" " if m[2] else ": "), message)
        unknown = re.search(r"unrecognized arguments: (--?[\w-]+)", message)
        flags = [flag for flag in self._option_string_actions if flag.startswith("--")]
        hint = nearest(unknown[1].replace("_", "-"), flags) if unknown else ""
        if "did you mean" not in hint:
            hint = f" ({self.prog} --help-all explains all options)" if unknown else f" ({self.prog} -h explains it)"
        self.exit(2, f"{self.prog}: {message}{hint}\n")


def _argument(text, whole):
    try:
        return number("it", text, whole)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
