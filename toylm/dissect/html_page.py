"""One self-contained HTML page: headings, paragraphs, tables, and pictures as data URIs. No script, nothing to fetch."""

import base64
import html
import json

from ..console import display_path
from ..files import atomic_writer, write_text

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.9rem; margin: 0.8rem 0; }
th, td { padding: 0.2rem 0.7rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; } th { color: #555; font-weight: 600; }
img { max-width: 100%; height: auto; } figure { margin: 1rem 0; } figcaption { color: #555; font-size: 0.9rem; }
div.wide { overflow-x: auto; }
"""


class HtmlPage:
    """Collects the parts of a page; `write` makes the file."""

    def __init__(self, title):
        self.title, self.parts = title, [f"<h1>{html.escape(title)}</h1>"]

    def heading(self, text):
        """A section heading."""
        self.parts.append(f"<h2>{html.escape(text)}</h2>")

    def text(self, *paragraphs):
        """Paragraphs of plain text."""
        self.parts += [f"<p>{html.escape(p)}</p>" for p in paragraphs]

    def table(self, columns, rows):
        """A table; cells are strings."""
        head = "".join(f"<th>{html.escape(c)}</th>" for c in columns)
        body = "\n".join("<tr>" + "".join(f"<td>{html.escape(str(c))}</td>" for c in row) + "</tr>" for row in rows)
        self.parts.append(
            f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'
        )

    def picture(self, path, caption):
        """A PNG file with its caption; left out where the file does not exist."""
        if path is None or not path.is_file():
            return
        data = base64.b64encode(path.read_bytes()).decode("ascii")
        caption = html.escape(caption)
        self.parts.append(
            f'<figure><img alt="{caption}" src="data:image/png;base64,{data}"><figcaption>{caption}</figcaption></figure>'
        )

    def write(self, path):
        """Write the page to `path`, atomically."""
        write_text(path, (
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(self.title)}</title>\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>\n<body>\n'
            + "\n".join(self.parts) + "\n</body></html>\n"
        ))  # fmt: skip


def write_results(folder, verb, figures, draw_pictures, write_report, summary, print_json=False):
    """Write VERB.json, pictures and report.html into `folder`, and print a summary of `figures`, or all of them as JSON.

    draw_pictures(folder): name -> path, as `draw` returns it. write_report(path, figures, pictures). summary(figures): lines.
    """
    text = json.dumps(figures, ensure_ascii=False)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / f"{verb}.json", text + "\n")
    pictures = draw_pictures(folder)
    write_report(folder / "report.html", figures, pictures)
    if print_json:
        print(text)
        return
    for line in summary(figures):
        print(line)
    said = f", {len(pictures)} pictures"
    if None in pictures.values():
        said = " (no pictures: matplotlib is not installed; pip install matplotlib)"
    print(f"results      {display_path(folder / 'report.html')}, {verb}.json{said}")


def draw(path, size, paint):
    """Draw a PNG with matplotlib: paint(figure). Returns the path, or None where matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    style = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=size, dpi=130, layout="constrained")
        FigureCanvasAgg(figure)
        paint(figure)
        with atomic_writer(path) as file:
            figure.savefig(file, format="png")
    return path


def number(value, digits=3, signed=False):
    """A number for a table cell; a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:+,.{digits}f}" if signed else f"{value:,.{digits}f}"


def ranged(value, low_high, digits=3, percent=False, signed=False):
    """ "0.915 [0.897, 0.933]", or as percentages."""
    if value is None:
        return "–"
    factor, unit, digits = (100, " %", 1) if percent else (1, "", digits)
    shown = number(factor * value, digits, signed) + unit
    if not low_high or low_high[0] is None:
        return shown
    return f"{shown} [{number(factor * low_high[0], digits, signed)}, {number(factor * low_high[1], digits, signed)}]"
