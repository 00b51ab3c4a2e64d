"""Take a model's attention apart: the value that each head attends to most, and the rest.

  toylm residual runs/first                     on the run's own held-out text
  toylm residual runs/first my-text.txt --layers 2 3
  toylm residual stories260K.bin tinystories.txt

Head outputs are replaced by V*, the value with the largest attention, by V* and a low-rank rest, by the top k values, or by V*
and a rest predicted from it; perplexity on documents that calibration never saw tells what each costs. An untrained model, a
random basis and intervals over documents say what would have happened anyway. Results: report.html, residual.json, pictures.
"""

from ..console import use_utf8_output
from ..data.separator import add_separator
from ..dissect.blocks_of_text import DOCUMENTS_AT_LEAST
from ..dissect.decomposition import BASES, DEFINITIONS
from ..dissect.html_page import HtmlPage, number, ranged, write_results
from ..errors import UsageError
from .dissect_source import add_source_arguments, out_folder


def build_parser(parser):
    """Add the arguments of `toylm residual`."""
    add_source_arguments(parser, "residual")
    parser.add_argument(
        "text", metavar="TEXT", nargs="*", help="UTF-8 file or corpus name (default: the run's held-out text)"
    )
    add_separator(parser)
    parser.add_argument(
        "--layers", metavar="N", type=int, nargs="+", help="blocks to replace together (default: the last three)"
    )
    parser.add_argument(
        "--length", metavar="N", type=int, help="tokens in a block of text (default: 256, or the context length)"
    )
    parser.add_argument("--blocks", metavar="N", type=int, default=30, help="blocks of text to measure on")
    parser.add_argument(
        "--calibration", metavar="N", type=int, default=16, help="other blocks, to fit bases and predictors"
    )
    parser.add_argument(
        "--definitions", metavar="NAME", nargs="+", help=f"of the rest (default: {', '.join(DEFINITIONS)})"
    )
    parser.add_argument("--bases", metavar="NAME", nargs="+", help=f"of the rest (default: {', '.join(BASES)})")
    parser.add_argument("--cross", action="store_true", help="every definition with every basis")
    parser.add_argument("--resamples", metavar="N", type=int, default=2000, help="bootstrap draws of documents")


def run(args):
    """Run `toylm residual`; returns the exit status."""
    from ..dissect.residual_analysis import residual
    from ..dissect.residual_pictures import draw_residual
    from .dissected import need_tokenizer, open_model, own_held_out
    from .evaluate import read_text

    use_utf8_output()
    for name in ("blocks", "calibration", "resamples", "length"):
        value = getattr(args, name)
        if value is not None and value < 2:
            raise UsageError(f"{name} is {value}; it must be at least 2")
    model, tokenizer, path = open_model(args)
    if args.text:
        need_tokenizer(tokenizer, path)
    folder = out_folder(args, "residual")
    length = min(args.length or 256, model.config.context_length)
    if args.text:  # of a long one only as much as the blocks need
        name, tokens = read_text(args, tokenizer, limit=12 * (args.blocks + args.calibration + 4) * length)
    else:
        name, tokens = own_held_out(path, tokenizer, "residual")
    result = residual(
        model, tokens.tokens, end_id=tokens.end_id, layers=args.layers, length=length, calibration_blocks=args.calibration,
        evaluation_blocks=args.blocks, definitions=args.definitions or DEFINITIONS, bases=args.bases or BASES, cross=args.cross,
        untrained=not args.no_untrained, resamples=args.resamples, seed=args.seed, progress=not args.json,
    )  # fmt: skip
    figures = {"model_path": str(path), "text": name, **result.to_dict()}
    write_results(folder, "residual", figures, lambda out: draw_residual(result, out), write_report, summary, args.json)
    return 0


def summary(figures):
    """The lines that the command prints, from the dictionary of a result."""
    s, rows = figures["settings"], figures["trained"]["replacements"]
    chosen = [row for row in rows if row["scope"] == "chosen"]
    layers = ", ".join(map(str, s["layers"]))
    shape = f"blocks {layers} of {s['model']['n_layers']}, {s['model']['n_heads']} heads a block"
    yield f"model        {figures['model_path']}: {shape}"
    yield (
        f"text         {figures['text']}: {s['evaluation_tokens']:,} tokens of {s['units']} {s['unit']}s measured, "
        f"{s['calibration_tokens']:,} others for calibration"
    )
    if s["units"] < DOCUMENTS_AT_LEAST:
        yield f"note         {s['units']} {s['unit']}s are few, intervals come out too narrow: give more text, or more --blocks"
    yield f"perplexity   {chosen[0]['perplexity']:.4f}"
    for row in chosen[1:]:
        if row["kind"] == "top-k":
            yield f"top-{row['k']:<9}{ranged(row['change'], row['change_interval'], 4, signed=True)}"
    yield "recovered share of the top-1 loss, by rank"
    for definition in s["definitions"]:
        for basis in s["bases"]:
            curve = [
                row for row in chosen
                if row["kind"] == "low-rank" and row["definition"] == definition and row["basis"] == basis
            ]  # fmt: skip
            if curve:
                shares = "  ".join(f"{row['rank']}: {_percent(row['recovered'])}" for row in curve)
                yield f"  {definition}, {basis}: {shares}"
        predicted = next((r for r in chosen if r["kind"] == "predicted" and r["definition"] == definition), None)
        if predicted:
            yield f"  {definition}, predicted from V* by ridge: {_percent(predicted['recovered'])}"
    for verdict in figures["verdicts"]:
        yield f"verdict      {verdict['definition']}, {verdict['basis']}: {say_verdict(verdict)}"
    if "untrained" in figures:
        other = figures["untrained"]["replacements"]
        yield (
            f"untrained    perplexity {other[0]['perplexity']:,.1f}; top-1 changes it by "
            f"{ranged(other[1]['change'], other[1]['change_interval'], 2, signed=True)}"
        )
    e = s["exactness"]
    yield f"exactness    r = d_head: perplexity within {e['perplexity']:.1e}, float64 logits within {e['logits_float64']:.1e}"


def _percent(share):
    return "–" if share is None else f"{100 * share:.1f} %"


def say_verdict(verdict):
    """A verdict in words."""
    answer, half = verdict["answer"], verdict["largest_rank_asked"]
    if answer == "yes":
        reached = _percent(verdict["recovered"])
        return f"low-rank: r = {verdict['rank']} recovers {reached}, beyond the random basis and the interval"
    if answer == "point estimate only":
        reached = _percent(verdict["recovered"])
        return f"not proved: {reached} at r = {verdict['rank']}, but the interval or the control does not agree"
    if answer == "nothing to recover":
        return "nothing to recover: top-1 costs nothing that can be told from noise"
    return f"not low-rank: no r up to {half} recovers 90 %" + (
        f" (r = {verdict['rank']} does)" if verdict["rank"] else ""
    )


def write_report(path, figures, pictures):
    """The HTML page of a result."""
    s = figures["settings"]
    page = HtmlPage(f"Residual attention of {figures['model_path']}")
    page.text(
        *(" ".join(line.split()) for line in summary(figures) if not line.startswith("  ") and "by rank" not in line)
    )
    page.heading("What each replacement costs")
    page.picture(
        pictures["recovery"], "Share of the top-1 loss recovered by rank, with 95 % intervals over " + s["unit"] + "s."
    )
    columns = ["replacement", "blocks", "perplexity", "change", "recovered (perplexity)", "recovered (nats)"]
    for side in ("trained", "untrained"):
        if side not in figures:
            continue
        page.text(f"The {side} model:")
        page.table(columns, [
            [_name(row), ", ".join(map(str, row["layers"])) or "none", number(row["perplexity"], 4),
             ranged(row["change"], row["change_interval"], 4, signed=True),
             ranged(row.get("recovered"), row.get("recovered_interval"), percent=True), _percent(row.get("recovered_nats"))]
            for row in figures[side]["replacements"]
        ])  # fmt: skip
    page.picture(pictures["layers"], "Perplexity added by replacing one block, and the deepest blocks together.")
    page.heading("The rest, head by head")
    page.picture(pictures["spectra"], "Cumulative energy of ε over its directions, every block and head.")
    page.picture(pictures["heads"], "Measures of every head, read at attention's true input, after the norm.")
    page.picture(
        pictures["overlap"], "Do heads share residual directions? Beside random subspaces and an untrained model."
    )
    page.text(
        "Everything above is in residual.json, with every spectrum, r90 for every definition and basis, and three estimates of "
        "the intrinsic dimension (the trimmed one is biased upward and there for comparison)."
    )
    page.write(path)


def _name(row):
    if row["kind"] == "top-k":
        return f"top-{row['k']}"
    if row["kind"] == "low-rank":
        return f"rank {row['rank']}, {row['basis']}, {row['definition']}"
    if row["kind"] == "predicted":
        return f"predicted from V*, {row['definition']}"
    return row["kind"]
