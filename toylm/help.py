"""How the help pages of all verbs look."""

import argparse


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
