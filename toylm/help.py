"""What the parsers of all verbs have in common: how help looks, what is forgiven, and what a misspelt flag is answered."""

import argparse
import re

from .errors import nearest


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Defaults are shown, unless there is none to show or the help tells it; paragraphs of the description are kept."""

    def _get_help_string(self, action):
        default, said = action.default, action.help
        nothing = default is None or default is False or default in ("", [], argparse.SUPPRESS)  # 0 is one
        if nothing or said == argparse.SUPPRESS or "(default" in said:
            return said
        if isinstance(default, list):
            return f"{said} (default: {' '.join(map(str, default))})"
        return super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that takes `--learning_rate` for `--learning-rate`, any text as the value of an option that wants one, even
    where it begins with "-", and names the nearest flag when one is misspelt.
    """

    def __init__(self, **options):
        super().__init__(**{"formatter_class": HelpFormatter, "allow_abbrev": False, **options})

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
        """As argparse has it: usage, the message, status 2."""
        unknown = re.search(r"unrecognized arguments: (--?[\w-]+)", message)
        if unknown:
            flags = [flag for flag in self._option_string_actions if flag.startswith("--")]
            hint = nearest(unknown[1].replace("_", "-"), flags)
            message += hint if "did you mean" in hint else " (-h lists what there is)"
        super().error(message)
