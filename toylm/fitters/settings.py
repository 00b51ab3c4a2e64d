"""What each fitter can be told: frozen dataclasses whose fields carry default, bounds, choices and help.

The flags of `toylm fit` are generated from these fields, those without help excepted. Nothing heavy is imported here.
"""

import math
import numbers
from dataclasses import dataclass, field, fields

from ..errors import UsageError


def setting(default, help=None, least=None, above=None, choices=None, default_text=None, yes_no=False):
    """A field of Settings. help: of its flag (None: no flag). least, above: bounds of a number, which is whole where they are ints
    (None as a value is always taken). choices: the valid words. default_text: what a default of None means. yes_no: a flag
    that takes "yes" or "no", in place of one that says yes by standing there.
    """
    about = dict(help=help, least=least, above=above, choices=choices, default_text=default_text, yes_no=yes_no)
    return field(default=default, metadata=about)


@dataclass(frozen=True)
class Settings:
    """Raises UsageError for a value out of bounds, with the setting's name, the value and the limit."""

    def __post_init__(self):
        for f in fields(self):
            value, about = getattr(self, f.name), f.metadata
            if value is None:
                continue
            if about["choices"] and value not in about["choices"]:
                raise UsageError(f"{f.name} is {value!r}; valid: {', '.join(about['choices'])}")
            for number in value if isinstance(value, list | tuple) else [value]:
                _check_number(f.name, number, about["least"], about["above"])


def _check_number(name, number, least, above):
    if least is not None:
        whole = isinstance(least, int)
        if not (isinstance(number, numbers.Integral if whole else numbers.Real) and least <= number < math.inf):
            raise UsageError(f"{name} is {number}; it must be a {'whole' if whole else 'finite'} number of at least {least:g}")
    if above is not None and not number > above:
        raise UsageError(f"{name} is {number}; it must be above {above:g}")


_L2, _START = "penalty on the distance to the start", "where to start"
_ITERATIONS, _ROWS, _LAMBDA = "at most", "training tokens read, at most", "ridge penalty, on moments a row"
_TEACHER, _RANK, _BESIDE = "the run whose activations are the targets", "of the correction", (
    "save the factors beside the weights as they were, in place of merging them"
)
_REPAIR, _HEAD = "solve for w_o and w_ff2 of the blocks behind again", "end with a cross-entropy head"
_STARTS = ("current", "zero")


@dataclass(frozen=True)
class CrossEntropy(Settings):
    """See output_heads.CrossEntropyHead."""

    l2: float = setting(1e-3, _L2, least=0.0)
    iterations: int = setting(30, _ITERATIONS, least=1)
    start: str = setting("current", _START, choices=_STARTS)
    max_rows: int = setting(1_000_000, _ROWS, least=1)
    validate: bool = setting(True)
    tolerance: float = setting(1e-5)


@dataclass(frozen=True)
class Bohning(Settings):
    """See output_heads.BohningHead."""

    l2: float = setting(1e-3, _L2, least=0.0)
    iterations: int = setting(30, _ITERATIONS, least=1)
    start: str = setting("current", _START, choices=_STARTS)
    max_rows: int = setting(1_000_000, _ROWS, least=1)


@dataclass(frozen=True)
class RidgeHead(Settings):
    """See output_heads.RidgeHead."""

    lambda_reg: float = setting(1e-4, _LAMBDA, least=0.0)
    max_rows: int | None = setting(None, _ROWS, least=1, default_text="1000000, all with --by-document")
    by_document: bool = setting(False, "keep the moments, by document, for --add and --remove")


@dataclass(frozen=True)
class Reconstruction(Settings):
    """See reconstruction.ReconstructionFitter."""

    targets: str | None = setting(None, "a teacher's stream, or the model's own gradient", choices=("teacher", "gradient"),
                                  default_text="gradient, unless --teacher or --reset is given")  # fmt: skip
    teacher: str | None = setting(None, _TEACHER)
    reset: bool = setting(False, "set the matrices to random first, imitate the model as it was")
    matrices: str = setting("output", "of feed-forward: w_ff2 alone, or w_ff1 as well", choices=("output", "all"))
    lambda_reg: float = setting(1e-9, _LAMBDA, least=0.0)
    max_rows: int | None = setting(None, _ROWS, least=1, default_text="20000 on a teacher's stream, 40000 on the own gradient")
    iterations: int = setting(8, _ITERATIONS, least=1)


@dataclass(frozen=True)
class KernelRidge(Settings):
    """See feature_heads.KernelRidgeHead."""

    landmarks: int = setting(1000, "landmarks, at most", least=1)
    kernel: str = setting("rbf", "rbf, laplacian, matern, polynomial, linear")
    length_scale: float | None = setting(None, "of the kernel", default_text="the median distance")
    lambda_reg: float = setting(1e-6, _LAMBDA, least=0.0)
    max_rows: int = setting(50_000, _ROWS, least=1)


@dataclass(frozen=True)
class Elm(Settings):
    """See feature_heads.ElmHead."""

    depth = 1
    hidden_units: int = setting(1024, "random features a layer", least=1)
    activation: str = setting("relu", "of the random features", choices=("tanh", "relu"))
    weight_scale: float | str = setting("fan_in")
    lambda_reg: float = setting(1e-5, _LAMBDA, least=0.0)
    max_rows: int = setting(200_000, _ROWS, least=1)


@dataclass(frozen=True)
class DeepElm(Elm):
    """The same with several layers."""

    depth: int = setting(2, "layers", least=1)


@dataclass(frozen=True)
class BlockRemoval(Settings):
    """See block_removal.BlockRemoval."""

    replacement: str = setting("refit", "w_ff2 solved for, a d x d map of its output, nothing", choices=("refit", "linear", "none"))
    repair: bool = setting(True, _REPAIR, yes_no=True)
    head: bool = setting(False, _HEAD, yes_no=True)
    lambda_reg: float = setting(1e-6, _LAMBDA, least=0.0)
    max_rows: int = setting(40_000, _ROWS, least=1)


@dataclass(frozen=True)
class DeepLinear(Settings):
    """See block_removal.DeepLinearRemoval."""

    depth: int = setting(2, "factors", least=1)
    rank: int | None = setting(None, "of the map", least=1, default_text="d_model")
    repair: bool = setting(True, _REPAIR, yes_no=True)
    head: bool = setting(False, _HEAD, yes_no=True)
    lambda_reg: float = setting(1e-6, _LAMBDA, least=0.0)
    max_rows: int = setting(40_000, _ROWS, least=1)


@dataclass(frozen=True)
class LoraTeacher(Settings):
    """See lora.LoraFromTeacher."""

    teacher: str | None = setting(None, _TEACHER)
    rank: int = setting(8, _RANK, least=1)
    lambda_reg: float = setting(1e-6, _LAMBDA, least=0.0)
    max_rows: int = setting(40_000, _ROWS, least=1)
    keep_beside: bool = setting(False, _BESIDE)


@dataclass(frozen=True)
class LoraGradient(Settings):
    """See lora.LoraFromGradient."""

    rank: int = setting(8, _RANK, least=1)
    max_rows: int = setting(40_000, _ROWS, least=1)
    keep_beside: bool = setting(False, _BESIDE)


@dataclass(frozen=True)
class Adam(Settings):
    """See gradient.GradientFitter."""

    steps: int | None = setting(None, "steps, in place of seconds", above=0, default_text="by --seconds")
    seconds: float | None = setting(None, "seconds", above=0, default_text="10")
    learning_rate: float = setting(3e-3, "peak learning rate", above=0)
    batch_size: int | None = setting(None)
    warmup: float = setting(0.05)
    final_learning_rate: float = setting(0.1)
    weight_decay: float = setting(0.0)
    momentum: float = setting(0.9)
    betas: tuple = setting((0.9, 0.95))
    embedding_rate: float = setting(1.0, above=0)
    vector_rate: float = setting(1.0, above=0)
    clip: float | None = setting(1.0, above=0)
    evaluate_every: float | None = setting(None, above=0)
    dropout: float = setting(0.0)
    whole_text: bool = setting(False)
    counts_share: float = setting(0.25)

    def __post_init__(self):
        super().__post_init__()
        if self.steps is not None and self.seconds is not None:
            raise UsageError("give steps or seconds, not both")


@dataclass(frozen=True)
class Sgd(Adam):
    """The same for gradient descent with momentum."""

    learning_rate: float = setting(0.1, "peak learning rate", above=0)


@dataclass(frozen=True)
class Muon(Adam):
    """The same for Muon on the blocks' matrices and Adam on all else."""

    learning_rate: float = setting(0.02, "peak learning rate", above=0)
    weight_decay: float = setting(0.1)
