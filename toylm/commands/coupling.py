"""Measure whether the blocks of a model act along the same directions: coupling of their Jacobians.

  toylm coupling runs/first                              on four starts of the run's held-out documents
  toylm coupling runs/first "Once upon a time" "The dog"
  toylm coupling runs/first prompts.txt                  a prompt a line

For every prompt, block and token the Jacobian of the block's contribution (and of attention and feed-forward apart), its SVD,
and m_K between layers and between tokens; beside each number the level of random matrices of the same d and K and that of an
untrained model. Results: report.html, coupling.json, pictures.
"""

from ..console import use_utf8_output
from ..dissect.html_page import HtmlPage, number, ranged, write_results
from ..errors import UsageError
from .dissect_source import add_source_arguments, out_folder

DEFAULT_LENGTH = 64


def build_parser(parser):
    """Add the arguments of `toylm coupling`."""
    add_source_arguments(parser, "coupling")
    parser.add_argument(
        "prompts", metavar="PROMPTS", nargs="*", help="texts, or files with one prompt a line (default: held-out text)"
    )
    parser.add_argument(
        "--ks", metavar="K", type=int, nargs="+", help="top directions (default: 10, 30, 50 and 10, 25, 50 %% of d)"
    )
    parser.add_argument(
        "--length", metavar="N", type=int, help=f"tokens of a prompt at most (default: {DEFAULT_LENGTH})"
    )
    parser.add_argument(
        "--tokens", metavar="N", type=int, help="positions of a prompt to take (default: all, fewer if wide)"
    )


def run(args):
    """Run `toylm coupling`; returns the exit status."""
    from ..dissect.coupling_analysis import coupling
    from ..dissect.coupling_pictures import draw_coupling
    from .dissected import open_model, prompts_of

    use_utf8_output()
    for name in ("length", "tokens"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise UsageError(f"{name} is {value}; it must be at least 1")
    model, tokenizer, path = open_model(args)
    folder = out_folder(args, "coupling")
    length = min(args.length or DEFAULT_LENGTH, model.config.context_length)
    texts, prompts = prompts_of(args, tokenizer, path, length)
    result = coupling(
        model,
        prompts,
        ks=args.ks,
        tokens=args.tokens,
        untrained=not args.no_untrained,
        seed=args.seed,
        progress=not args.json,
    )
    figures = {"model_path": str(path), "prompts": texts, **result.to_dict()}
    write_results(folder, "coupling", figures, lambda out: draw_coupling(result, out), write_report, summary, args.json)
    return 0


def summary(figures):
    """The lines that the command prints, from the dictionary of a result."""
    s = figures["settings"]
    d, K = s["model"]["d_model"], s["headline_K"]
    yield f"model        {figures['model_path']}: {s['model']['n_layers']} blocks, d {d}"
    counts = sorted({len(p) for p in s["positions"]})
    tokens = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    yield f"prompts      {len(s['prompt_lengths'])}, {tokens} tokens of each"
    yield "mean m_K between different layers at the same token (lower: more coupled)"
    head = f"  {'part':<14}{'K':>4}{'absolute':>10}{'random':>8}{'rotated':>9}{'untrained':>11}"
    yield head + f"{'signed':>10}{'random':>8}{'untrained':>11}"
    for row in figures["summary"]:
        yield (
            f"  {row['part']:<14}{row['K']:>4}{_f(row['absolute']):>10}{_f(row['absolute_random']):>8}"
            f"{_f(row['absolute_rotated']):>9}{_f(row.get('absolute_untrained')):>11}{_f(row['signed']):>10}"
            f"{_f(row['signed_random']):>8}{_f(row.get('signed_untrained')):>11}"
        )
    for part in dict.fromkeys(row["part"] for row in figures["summary"]):
        row = next(r for r in figures["summary"] if r["part"] == part and r["K"] == K)
        yield f"verdict      {part}, K = {K}: {say_level(row)}"
    for side in ("trained", "untrained"):
        if side in figures:
            t = figures[side]["trajectories"]
            yield (
                f"{side:<13}line-shape score {_f(t['line_shape_score'])} (1: straight), exponential spacing "
                f"{_f(t['exponential_spacing'])} (0: exponential)"
            )


def _f(value):
    return "–" if value is None else f"{value:.3f}"


def say_level(row):
    """What the absolute metric of one row says beside its controls, in words."""
    if row["absolute"] is None:
        return "one layer: nothing to compare"
    level = min(row["absolute_random"], row["absolute_rotated"])
    # Two matrices at a time give the spread of the level; the mean over all pairs of layers varies less. Prompts vary, too.
    gap, over_prompts = level - row["absolute"], row["absolute_error"]
    errors = (row["absolute_rotated_error"], over_prompts or 0.0)
    spread = (2 * row["absolute_random_std"] ** 2 / row["pairs"] + sum(e**2 for e in errors)) ** 0.5
    said = f"{row['absolute']:.3f} beside {row['absolute_random']:.3f} (random matrices)"
    said += f", {row['absolute_rotated']:.3f} (own singular values, random directions)"
    if row["absolute"] > max(row["absolute_random"], row["absolute_rotated"]) + 2 * spread:
        return f"{said}: not coupled, less alike than chance"
    if gap <= 2 * spread:
        return f"{said}: no coupling that can be told from chance"
    other = row.get("absolute_untrained")
    if other is not None and level - other >= 0.5 * gap:
        return f"{said}, but {other:.3f} untrained: most of it is there before training"
    one = "" if over_prompts is not None else " (of one prompt: how much prompts differ is not known)"
    return f"{said}: coupled, {100 * gap / level:.1f} % of the way from chance to identical blocks{one}"


def write_report(path, figures, pictures):
    """The HTML page of a result."""
    page = HtmlPage(f"Block coupling of {figures['model_path']}")
    lines = [line for line in summary(figures) if not line.startswith("  ") and "(lower" not in line]
    page.text(*(" ".join(line.split()) for line in lines))
    page.heading("Between layers, at the same token")
    page.picture(pictures["maps"], "m_K(layer i, layer j) on the absolute metric, mean over tokens and prompts.")
    page.picture(pictures["levels"], "Mean over pairs of different layers, by K, beside its levels of chance.")
    page.table(
        ["part", "K", "absolute", "neighbours", "random", "own spectrum, random directions", "untrained",
         "signed", "random", "untrained"],
        [[row["part"], row["K"], ranged(row["absolute"], row["absolute_interval"]), number(row["absolute_neighbours"]),
          number(row["absolute_random"]), number(row["absolute_rotated"]), number(row.get("absolute_untrained")),
          ranged(row["signed"], row["signed_interval"]), number(row["signed_random"]), number(row.get("signed_untrained"))]
         for row in figures["summary"]],
    )  # fmt: skip
    page.picture(pictures["directions"], "A bright diagonal: block i acts along the directions of block j.")
    page.heading("Between tokens, within a layer")
    page.picture(pictures["tokens"], "Untrained blocks couple across tokens too: it is the same matrix at every token.")
    page.heading("Along the depth")
    page.picture(pictures["depth"], "Singular values, their inverse with a line fit, and the norm of the stream.")
    page.text(
        "Everything above is in coupling.json, with the norm and trace normalisations, the signed and absolute metrics, the "
        "swapped version (vu), every token pair and all singular values."
    )
    page.write(path)
