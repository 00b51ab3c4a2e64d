"""A run's settings: one frozen dataclass, from defaults, a TOML recipe and command-line flags, in that order.

    [model]
    d_model = 64
    n_layers = 2

`TrainSettings.model` has the fields of ModelConfig: whatever is added there is a setting and a flag here. In recipes, flags and
run.json all settings stand by their own names. The TOML tables carry the names of the groups below and exist for the reader; a key
may also stand outside any table. "none" switches an optional setting off. An unknown key is an error that names the nearest valid
one.
"""

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path

from ..config import ModelConfig
from ..data.separator import unescape
from ..errors import CheckpointError, MissingFileError, UsageError, nearest
from ..fields import check, check_fields, parse, setting
from ..resources import resource_path

# group -> its heading in the help
GROUPS = {
    "data": "text and tokens",
    "model": "model",
    "optimization": "optimization",
    "length": "how long (one of steps, minutes, tokens)",
    "fitting": "fitters that solve for a part of the model during training (see toylm fit)",
    "evaluation": "held-out loss and samples",
    "output": "run folder",
    "machine": "machine",
}
LEARNING_RATES = {"muon": 0.02}
EARLIER = {"embedding_rate": 1.0, "vector_rate": 1.0, "size": "shape"}  # what runs were made with before these settings existed
HORIZONS = ("steps", "minutes", "tokens")
SHAPE = ("d_model", "d_ff", "n_heads", "n_kv_heads", "d_head", "n_layers")

# A ModelConfig whose vocabulary is not known yet, and whose sizes still follow each other.
ModelSettings = dataclasses.make_dataclass(
    "ModelSettings",
    [
        (f.name, f.type, dataclasses.field(default=f.default, metadata=f.metadata))
        for f in dataclasses.fields(ModelConfig)
        if f.metadata["flag"]
    ],
    namespace={"__post_init__": check_fields},
    frozen=True,
)


def _setting(default, group, help, *, fixed=False, path=False, of=None, **rules):
    """A field. `fixed`: a resumed run cannot change it; `path`: it may name a file, and is made absolute; `of`: the settings
    without which it has no effect, name -> values that it goes with (None: any but none), of which one is enough.
    """
    return setting(default, help, group=group, fixed=fixed, path=path, of=of, **rules)


_ADAM = {"optimizer": ("adam", "adamw", "muon")}
_COUNTS, _SAMPLES = {"counts": None}, {"sample_every": None}
_FITTERS = {"head_fitter": None, "block_fitter": None, "fitter": None}


@dataclass(frozen=True)
class TrainSettings:
    """Everything a run depends on. Raises ValueError naming the setting, the value and the limit."""

    # -- text and tokens
    data: tuple[str, ...] = _setting(
        ("stories",), "data", "stories (comes with toylm); shakespeare (1.1 MB), tinystories (2.2 GB), tinystories-valid (22 MB), "
        "which are downloaded; UTF-8 files, a folder of them or a quoted pattern; task:copy|bracket|reverse|running-sum; a folder "
        "that toylm data made",
        fixed=True, path=True)
    separator: str | None = _setting(
        None, "data", r"text between two documents, where the files have no <|endoftext|>; \n and \t are understood", fixed=True,
        type=unescape)
    tokenizer: str = _setting("bpe", "data", "bpe, char, byte, word, or the path of a tokenizer.json", fixed=True, path=True)
    vocab_size: int | None = _setting(
        None, "data", "tokens in the vocabulary, at most; none: 2048 for bpe, 8192 for words", fixed=True, at_least=3)
    held_out: float | None = _setting(
        None, "data", "share of the documents kept for evaluation; none: the corpus's own split, else 0.05",
        fixed=True, above=0, below=1)
    held_out_data: str | None = _setting(
        None, "data", "text to hold out instead of a share: a corpus or a file", fixed=True, path=True)
    limit: int | None = _setting(None, "data", "read this many characters of the text only", fixed=True, at_least=1)

    # -- model
    start_from: str | None = _setting(
        None, "model", "go on from this model's weights, with its shape and tokenizer: a run, a checkpoint, a Hugging Face "
        "folder", fixed=True, path=True, alias="--from")
    size: str = _setting(
        "clock", "model", "clock: where the length is in minutes and no width or depth is given, both are chosen, for about 10 "
        "tokens a parameter at this machine's speed; shape: what the settings say", fixed=True, choices=("clock", "shape"))
    model: ModelSettings = ModelSettings(context_length=128, init="zero")
    counts: int | None = _setting(
        None, "model", "n-gram order of counts of the training text that are combined with the transformer, whose weight "
        "starts at zero; none: no counts", fixed=True, at_least=1)
    counts_folds: int = _setting(
        8, "model", "parts of the training text; a window is trained with the counts of all parts but its own", fixed=True,
        at_least=2, of=_COUNTS)
    counts_share: float = _setting(
        0.25, "model", "share of the training windows that are predicted with the counts, the others by the transformer alone",
        fixed=True, above=0, at_most=1, of=_COUNTS)
    start: str = _setting(
        "random", "model", "unigram: an output bias of log token frequencies; bigram: embeddings from the log-PMI of neighbours as "
        "well (needs tied false)", fixed=True, choices=("random", "unigram", "bigram"))
    precision: str = _setting(
        "float32", "model", "arithmetic of the kernels; auto: bf16 where that is faster on this CPU, else float32",
        fixed=True, choices=("float32", "float64", "bf16", "auto"))

    # -- optimization
    optimizer: str = _setting(
        "muon", "optimization", "sgd, adam (no weight decay), adamw, muon (for the blocks' matrices; adam for all else)",
        fixed=True, choices=("sgd", "adam", "adamw", "muon"))
    learning_rate: float | None = _setting(
        None, "optimization", "peak learning rate; none: 0.02 for muon, 0.003 for the others", above=0, alias="--lr")
    embedding_rate: float = _setting(
        6.0, "optimization", "learning rate of embeddings over that of matrices (adam, adamw, muon's adam)", above=0, of=_ADAM)
    vector_rate: float = _setting(
        3.0, "optimization", "learning rate of gains and biases over that of matrices (adam, adamw, muon's adam)", above=0,
        of=_ADAM)
    schedule: str = _setting(
        "cosine", "optimization", "how the learning rate falls after the warm-up; trapezoid: only over the last part, the cooldown",
        choices=("cosine", "linear", "trapezoid"))
    cooldown: float = _setting(
        0.3, "optimization", "share of the run over which trapezoid's rate falls", above=0, at_most=1,
        of={"schedule": ("trapezoid",)})
    final_learning_rate: float = _setting(
        0.1, "optimization", "learning rate at the end, as a share of the peak", at_least=0, at_most=1)
    warmup: float = _setting(
        0.05, "optimization", "share of the run over which the learning rate rises to its peak", at_least=0, below=1)
    weight_decay: float = _setting(
        0.1, "optimization", "decay of the matrices (adamw, muon, sgd); gains have none", at_least=0,
        of={"optimizer": ("adamw", "muon", "sgd")})
    momentum: float = _setting(0.9, "optimization", "of sgd", fixed=True, at_least=0, below=1, of={"optimizer": ("sgd",)})
    beta1: float = _setting(0.9, "optimization", "of adam, adamw and muon's adam", at_least=0, below=1, of=_ADAM)
    beta2: float = _setting(0.99, "optimization", "of adam, adamw and muon's adam", at_least=0, below=1, of=_ADAM)
    eps: float = _setting(1e-8, "optimization", "of adam, adamw and muon's adam", above=0, of=_ADAM)
    clip: float | None = _setting(1.0, "optimization", "largest gradient norm; none: no clipping", above=0)
    dropout: float = _setting(
        0.0, "optimization", "share of what embedding, attention and feed-forward add to the stream that is dropped in training",
        at_least=0, below=1)
    batch_size: int = _setting(8, "optimization", "sequences a forward and backward pass", fixed=True, at_least=1)
    grad_accum: int = _setting(1, "optimization", "passes whose gradients make one step", fixed=True, at_least=1)

    # -- how long
    steps: int | None = _setting(None, "length", "optimizer steps", at_least=1)
    minutes: float | None = _setting(
        3.0, "length", "minutes of training; the learning rate follows the clock", above=0)
    tokens: int | None = _setting(None, "length", "training tokens (500k, 20M, 1e9 ...)", at_least=1)
    patience: int | None = _setting(
        None, "length", "stop after this many evaluations without a better held-out loss; none: never", at_least=1)

    # -- fitters
    head_fitter: str | None = _setting(
        None, "fitting", "solves for the output matrix (of a model with --tied false)",
        choices=("cross-entropy", "bohning", "ridge"))
    block_fitter: str | None = _setting(
        None, "fitting", "solves for w_o and w_ff2 of every block in turn, from the model's own loss",
        choices=("ridge", "lora-gradient"))
    fitter: str | None = _setting(
        None, "fitting", "corrects all matrices of the blocks at once", choices=("ridge", "lora-gradient"))
    fit_every: int | None = _setting(
        None, "fitting", "steps between fits; none: once, after the last step", at_least=1, of=_FITTERS)
    fit_tokens: int | None = _setting(
        50_000, "fitting", "training tokens that a fit reads, at most; none: all", at_least=1, of=_FITTERS)

    # -- held-out loss and samples
    eval_every: int = _setting(500, "evaluation", "steps between evaluations", at_least=1)
    eval_tokens: int | None = _setting(
        50_000, "evaluation", "held-out tokens an evaluation during the run; none: all", at_least=1)
    coupling_every: int | None = _setting(
        None, "evaluation", "steps between measurements of block coupling (see toylm coupling); none: never", at_least=1)
    sample_every: int | None = _setting(1000, "evaluation", "steps between samples; none: never", at_least=1)
    sample_prompt: str = _setting("", "evaluation", "start of the samples; empty: a new document", of=_SAMPLES)
    sample_tokens: int = _setting(80, "evaluation", "tokens a sample", at_least=1, of=_SAMPLES)
    sample_temperature: float = _setting(0.8, "evaluation", "temperature of the samples", at_least=0, of=_SAMPLES)

    # -- run folder
    log_every: int = _setting(100, "output", "steps between lines of progress and of metrics.jsonl", at_least=1)
    save_every: int = _setting(500, "output", "steps between checkpoints", at_least=1)
    keep_last: int = _setting(2, "output", "checkpoints kept, besides the best", at_least=1)

    # -- machine
    seed: int = _setting(0, "machine", "of the initial weights, the batches and the samples", fixed=True, at_least=0)
    threads: int | None = _setting(None, "machine", "threads of Numba and BLAS; none: physical cores", at_least=1)

    def __post_init__(self):
        for field in FIELDS.values():
            object.__setattr__(self, field.name, check(field, getattr(self, field.name)))
        if not self.data:
            raise UsageError("data names no text; give a corpus name or a path")
        chosen = [name for name in HORIZONS if getattr(self, name) is not None]
        if len(chosen) != 1:
            raise UsageError(f"give exactly one of steps, minutes and tokens, not {' and '.join(chosen) or 'none of them'}")

    @property
    def peak_learning_rate(self):
        """learning_rate, or the optimizer's own where that is left out."""
        return self.learning_rate or LEARNING_RATES.get(self.optimizer, 3e-3)

    @property
    def horizon(self):
        """The one of "steps", "minutes" and "tokens" that ends the run."""
        return next(name for name in HORIZONS if getattr(self, name) is not None)

    @property
    def sized_by_clock(self):
        """Whether the model's width and depth are still to be chosen (toylm.train.sizing)."""
        return self.size == "clock" and self.minutes is not None

    def model_config(self, vocab_size):
        """The ModelConfig of these settings for a vocabulary of this size."""
        shape = vars(self.model) | {"output_bias": self.model.output_bias or self.start != "random"}
        return ModelConfig(vocab_size, **shape, counts=self.counts is not None)

    def updated(self, changes):
        """A copy with `changes` (name -> value); a length replaces the other two, a width or depth the clock's choice."""
        if any(changes.get(name) is not None for name in HORIZONS):
            changes = {**dict.fromkeys(HORIZONS), **changes}
        if any(changes.get(name) is not None for name in SHAPE):
            changes = {"size": "shape", **changes}
        own = {name: value for name, value in changes.items() if name not in MODEL_FIELDS}
        model = {name: value for name, value in changes.items() if name in MODEL_FIELDS}
        return dataclasses.replace(self, **own, model=dataclasses.replace(self.model, **model))

    def to_dict(self):
        """All settings by name, JSON-able."""
        values = {name: getattr(self, name) for name in FIELDS} | vars(self.model)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def to_toml(self):
        """The settings as the text of a recipe: `--config` reads it back to the same settings."""
        values, lines = self.to_dict(), []
        for group in GROUPS:
            fields = [field for field in fields_of(group) if not (self.sized_by_clock and field.name in SHAPE)]
            lines += [f"[{group}]", *(f"{field.name} = {_toml(values[field.name])}" for field in fields), ""]
        return "\n".join(lines)

    @classmethod
    def from_dict(cls, values):
        """The inverse of `to_dict`. Raises UsageError for an unknown key or a value of the wrong kind."""
        return cls().updated(EARLIER | parse_values(values, "run.json"))


FIELDS = {field.name: field for field in dataclasses.fields(TrainSettings) if field.name != "model"}
MODEL_FIELDS = {field.name: field for field in dataclasses.fields(ModelSettings)}
ALL_FIELDS = FIELDS | MODEL_FIELDS


def fields_of(group):
    """The fields of one group, in order."""
    own = [field for field in FIELDS.values() if field.metadata["group"] == group]
    return [*MODEL_FIELDS.values(), *own] if group == "model" else own


def is_fixed(name):
    """Whether a resumed run cannot change this setting."""
    return name in MODEL_FIELDS or FIELDS[name].metadata["fixed"]


def refuse_idle(settings, flags):
    """Raise UsageError for the first of `flags`, the settings that were asked for by name, that has no effect beside the others."""
    values = settings.to_dict()
    for name in flags:
        of = ALL_FIELDS[name].metadata.get("of")
        if of and not any(values[other] is not None and (goes is None or values[other] in goes) for other, goes in of.items()):
            others = " and ".join(f"{other} {'none' if values[other] is None else values[other]}" for other in of)
            raise UsageError(f"{name} has no effect with {others}: leave it out")


def parse_values(values, source):
    """Check the keys of a flat dictionary and convert its values; `source` names the file in messages."""
    for name in values:
        if name not in ALL_FIELDS:
            raise UsageError(f"{source} has an unknown key {name!r}{nearest(name, ALL_FIELDS)}")
    return {name: parse(ALL_FIELDS[name], value) for name, value in values.items()}


def read_toml(path):
    """The settings in a TOML file as a dictionary. Raises UsageError or MissingFileError with one sentence."""
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"the settings file {path} does not exist")
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # not TOML, or not UTF-8
        raise UsageError(f"{path} is not valid TOML: {error}") from None
    flat = {}
    for key, value in document.items():
        table = value if isinstance(value, dict) else {key: value}
        if table is value and key not in GROUPS:
            raise UsageError(f"{path} has an unknown table [{key}]{nearest(key, GROUPS)}")
        for name, inner in table.items():
            if name in flat:
                raise UsageError(f"{path} gives {name} twice")
            flat[name] = inner
    return parse_values(flat, path)


def read_settings(record, file):
    """The TrainSettings in the record of a run's run.json. Raises CheckpointError naming the file."""
    if not isinstance(record.get("settings"), dict):
        raise CheckpointError(f"{file} is damaged: it holds no settings")
    try:
        return TrainSettings.from_dict(record["settings"])
    except UsageError as error:
        raise CheckpointError(f"{file} is damaged: {error}") from None


def recipes():
    """Recipe name -> (path, its first comment line) of the recipes that come with toylm."""
    found = {}
    for path in sorted(resource_path("train").glob("*.toml")):
        first = path.read_text(encoding="utf-8").split("\n", 1)[0]
        found[path.stem] = (path, first.removeprefix("#").strip())
    return found


def find_config(name):
    """The path of `--config NAME`: a recipe's name or a TOML file. Raises UsageError with the nearest recipe."""
    known = recipes()
    if name in known:
        return known[name][0]
    if name.endswith(".toml") or "/" in name or "\\" in name or Path(name).is_file():
        return Path(name)
    raise UsageError(f"no recipe {name!r}{nearest(name, known)} (a file of your own: --config my.toml)")


def _toml(value):
    if value is None:
        return '"none"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + "".join(c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}" for c in escaped) + '"'
    return repr(value)
