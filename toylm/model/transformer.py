"""TransformerLM: a decoder-only transformer with hand-written gradients, on one flat parameter buffer."""

import threading

import numpy as np

from ..config import ModelConfig, layout_of
from ..errors import InputTypeError, UsageError
from ..optimizers import SGD, Adam
from ..parameters import Parameters
from ..threads import get_threads, set_threads
from .block import Block
from .dropout import Dropout
from .embedding import Embedding
from .generation import generate_batch, stream
from .ids import target_ids, token_ids
from .init import initialise
from .norm import Norm
from .precision import precision_of
from .unembedding import Unembedding
from .workspace import Workspace, buffers_of, bytes_of, scratch_of

ALL_COUNTS, NO_COUNTS = -1, -2  # folds, see TransformerLM.log_counts


class TransformerLM:
    """A language model over token ids: forward, loss, gradients, text.

    config: ModelConfig. seed: of the initialisation. precision: "float32", "float64" (for gradient checks), "bf16" (products of
    rounded operands, where the CPU has them) or "auto" (bf16 if it can, else float32). threads: for all kernels of the
    process; None keeps what is set (physical cores at first).

    Several of Python's threads may use one model at once, each with activations of its own; passes that add to the gradients take
    turns. A change of the parameters meanwhile is not waited for.

    Tokens are integers of shape (B, T) or (T,), T at most config.context_length. Targets have the tokens' shape; a target
    below zero is not counted. Raises ValueError for ids out of range, a sequence too long, or shapes that differ.

        config = toylm.ModelConfig(vocab_size=512, d_model=64, n_heads=4, n_layers=2, context_length=64)
        model = toylm.TransformerLM(config, seed=0)
        loss = model.loss_and_gradients(tokens, targets)      # adds to model.gradients
        toylm.Adam(model.parameters).step(model.gradients)
        model.gradients.zero_()
    """

    tokenizer = None  # that of the folder which the model was loaded from

    def __init__(self, config, seed=0, precision="float32", threads=None):
        if not isinstance(config, ModelConfig):
            raise InputTypeError(f"config must be a ModelConfig, not {type(config).__name__}")
        self.threads = get_threads() if threads is None else set_threads(threads)
        arithmetic = self._precision = precision_of(precision)
        self.config, self.precision, self.dtype = config, arithmetic.name, arithmetic.dtype
        self.embedding = Embedding(config)
        self.blocks = [Block(config, i, arithmetic) for i in range(config.n_layers)]
        self.norm_final = Norm(config, "norm_final", self.dtype)
        self.unembedding = Unembedding(config, arithmetic)
        self.parameters = Parameters(layout_of(config), self.dtype)
        self._gradients = None
        self.workspace = Workspace(config, arithmetic)
        self._adding = threading.Lock()  # held by a pass that adds to the gradients
        self.counts = None  # where config.counts: what has log_probabilities(tokens, folds), such as a CountsLM; see log_counts
        self.valid_ids = config.vocab_size  # ids from here on have no token: they are never generated
        self._optimizers = {}
        initialise(self.parameters, config, seed)

    def __getstate__(self):  # a copy (copy.deepcopy, pickle) has memory and a lock of its own
        return {name: value for name, value in self.__dict__.items() if name != "_adding"}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._adding = threading.Lock()

    @property
    def activations(self):
        """What the last forward pass of this thread computed, see toylm.model.workspace; None before the first."""
        return self.workspace.held.activations

    @activations.setter
    def activations(self, activations):
        self.workspace.held.activations = activations

    @property
    def gradients(self):
        """Gradients in the parameters' layout: zero at first, added to by every backward pass, zeroed by `zero_()`."""
        if self._gradients is None:
            self._gradients = self.parameters.like()
        return self._gradients

    # -- forward -----------------------------------------------------------------------------------------------------

    def forward(self, tokens):
        """Logits (B, T, V) of the next token at every position; (T, V) for tokens of shape (T,). A fresh array.

        `model.activations` holds what was computed on the way until the next pass.
        """
        batch = self._tokens(tokens)
        a = self._forward_to_norm(batch)
        logits = np.empty((batch.size, self.config.vocab_size), self.dtype)
        self.unembedding.forward(self.parameters, a.final_norm, logits, self.log_counts(batch))
        return logits.reshape(*np.shape(tokens), self.config.vocab_size)

    def _forward_to_norm(self, tokens, training=False, dropout=None):
        a = self.activations = self.workspace.activations(*tokens.shape, training, dropout is not None)
        a.tokens = tokens
        self.embedding.forward(self.parameters, tokens, a.embedded)
        if dropout is not None:
            dropout.drop(0, a.embedded, a.embedded)
        for block, block_activations in zip(self.blocks, a.blocks):
            block.forward(self.parameters, block_activations, dropout)
        self.norm_final.forward(self.parameters, a.last_residual, a.final_norm, a.final_rstd)
        return a

    def loss(self, tokens, targets):
        """Mean cross-entropy in nats per counted target, without gradients; 0 where no target is counted."""
        tokens, targets = self._pair(tokens, targets)
        a = self._forward_to_norm(tokens)
        counted = int((targets >= 0).sum())
        losses = self.unembedding.losses(self.parameters, a.buffers, a.final_norm, targets, self.log_counts(tokens))
        return float(losses.sum()) / max(1, counted)

    def token_losses(self, tokens, targets):
        """Nats of every target, in the targets' shape, float64; 0 where it is not counted."""
        batch, flat = self._pair(tokens, targets)
        a = self._forward_to_norm(batch)
        losses = self.unembedding.losses(self.parameters, a.buffers, a.final_norm, flat, self.log_counts(batch))
        return losses.reshape(np.shape(targets)).copy()

    def log_counts(self, tokens, folds=None):
        """What the counts model says after tokens (B, T), each row by itself: (log-probabilities (B·T, V), rows (B·T,) bool that
        have them), or None without config.counts.

        folds: (B,), the part of the counts' training text that is left out for each row; ALL_COUNTS (-1) for none, NO_COUNTS (-2)
        for a row that the transformer predicts alone. A training pass over the text that was counted must leave its own part
        out: what the counts know by heart, nothing is left to learn about.
        """
        if not self.config.counts:
            return None
        counts = self.counts_model()
        found = self.workspace.activations(*tokens.shape).buffers["log_counts"]
        rows = np.ones(len(tokens), bool) if folds is None else np.asarray(folds) != NO_COUNTS
        if rows.all():
            counts.log_probabilities(tokens, folds, found.reshape(tokens.size, -1))
        else:
            found[~rows] = 0
            if rows.any():
                found[rows] = counts.log_probabilities(tokens[rows], folds[rows]).reshape(-1, *found.shape[1:])
        return found.reshape(tokens.size, -1).astype(self.dtype, copy=False), np.repeat(rows, tokens.shape[1])

    def counts_model(self):
        """The CountsLM of a model with config.counts. Raises ValueError where it has not been set."""
        if self.counts is None:
            raise UsageError("this model adds a counts model's log-probabilities to its logits: set model.counts to a CountsLM")
        return self.counts

    # -- backward ----------------------------------------------------------------------------------------------------

    def loss_and_gradients(self, tokens, targets, scale=1.0, dropout=0.0, dropout_seed=0, folds=None):
        """The same loss, and `scale` times its gradient added to `model.gradients`.

        To accumulate over micro-batches give each the scale (its counted targets) / (all counted targets). dropout: the
        probability with which each value that the embedding or a branch adds to the stream is dropped in this pass, the
        others being scaled by 1 / (1 - dropout); dropout_seed: an integer or a list of them, from which the masks follow. folds:
        see `log_counts`.
        """
        tokens, targets = self._pair(tokens, targets)
        masks = Dropout(dropout, dropout_seed, self.config.n_layers) if dropout else None
        a = self._forward_to_norm(tokens, True, masks)
        counted = max(1, int((targets >= 0).sum()))
        log_counts, dnorm = self.log_counts(tokens, folds), a.buffers["dnorm"]
        with self._adding:
            losses = self.unembedding.losses_and_gradients(
                self.parameters, self.gradients, a.buffers, a.final_norm, targets, scale / counted, dnorm, log_counts
            )
            self._backward_from_norm(a, dnorm, masks)
        return float(losses.sum()) / counted

    def backward(self, dlogits):
        """Add the gradient of sum(logits · dlogits) to `model.gradients`; dlogits has the shape of the last `forward`."""
        a = self.activations
        if a is None or np.size(dlogits) != a.tokens.size * self.config.vocab_size:
            raise UsageError("backward takes the gradient of the logits of the last forward pass, in their shape")
        dlogits = np.ascontiguousarray(dlogits, self.dtype).reshape(-1, self.config.vocab_size)
        tokens = a.tokens
        a = self.activations = self.workspace.activations(*tokens.shape, True)  # the same memory, and that of a backward pass
        a.tokens, dnorm, offset = tokens, a.buffers["dnorm"], self.log_counts(tokens)
        with self._adding:
            self.unembedding.backward(self.parameters, self.gradients, dlogits, a.final_norm, dnorm, offset)
            self._backward_from_norm(a, dnorm)

    def _backward_from_norm(self, a, dnorm, dropout=None):
        buffers = a.buffers
        dstream = buffers["dstream"]
        dstream.fill(0)
        # forward: final_norm = norm_final(last_residual)
        self.norm_final.backward(self.parameters, self.gradients, buffers, dnorm, a.last_residual, a.final_rstd, dstream)
        for block, block_activations in zip(reversed(self.blocks), reversed(a.blocks)):
            block.backward(self.parameters, self.gradients, block_activations, dstream, dropout)
        if dropout is not None:
            dropout.drop(0, dstream, dstream)
        # forward: residual.0 = token_embed[tokens] (+ pos_embed)
        self.embedding.backward(self.parameters, self.gradients, buffers, a.tokens, dstream)

    # -- text --------------------------------------------------------------------------------------------------------

    def stream(self, prompt_ids, max_tokens, temperature=1.0, top_k=None, top_p=None, seed=0, stop_ids=()):
        """Yield new token ids one by one (see toylm.model.generation.stream)."""
        return stream(self, prompt_ids, max_tokens, temperature, top_k, top_p, seed, stop_ids)

    def generate(self, prompt_ids, max_tokens, temperature=1.0, top_k=None, top_p=None, seed=0, stop_ids=()):
        """The new token ids as a list. temperature 0 takes the likeliest; a stop id ends the text and is not included."""
        return list(self.stream(prompt_ids, max_tokens, temperature, top_k, top_p, seed, stop_ids))

    def generate_batch(self, prompts, max_tokens, temperature=1.0, top_k=None, top_p=None, seed=0, stop_ids=()):
        """The new ids of several prompts, decoded together: text i equals `generate(prompts[i], ..., seed=seed + i)`."""
        return generate_batch(self, prompts, max_tokens, temperature, top_k, top_p, seed, stop_ids)

    def generate_from_ids(self, start_ids, max_tokens, temperature=0.0):
        """start_ids followed by the new ids; temperature 0 or below takes the likeliest."""
        return [*map(int, start_ids), *self.generate(start_ids, max_tokens, max(temperature, 0.0))]

    # -- files -------------------------------------------------------------------------------------------------------

    def save(self, directory, tokenizer=None):
        """Write a checkpoint directory (toylm.save)."""
        from ..formats.checkpoint import save

        return save(self, directory, tokenizer)

    @classmethod
    def load(cls, directory, precision="float32"):
        """The model of a checkpoint directory, or of a run's best checkpoint (without a best one, its latest)."""
        from ..formats.checkpoint import load_checkpoint

        return load_checkpoint(directory, precision, transformer=True).model

    def astype(self, precision):
        """A copy of this model in another precision."""
        other = TransformerLM(self.config, precision=precision)
        other.parameters.copy_from(self.parameters)
        other.counts, other.valid_ids = self.counts, self.valid_ids
        return other

    # -- one-line training steps ---------------------------------------------------------------------------------------

    def apply_gradients_sgd(self, learning_rate):
        """One plain SGD step with `model.gradients`, which are zeroed; returns their norm."""
        return self._apply("sgd", learning_rate)

    def apply_gradients_adam(self, learning_rate):
        """One Adam step with `model.gradients`, which are zeroed; the moments are kept in the model. Returns the norm."""
        return self._apply("adam", learning_rate)

    def _apply(self, kind, learning_rate):
        if kind not in self._optimizers:
            self._optimizers[kind] = {"sgd": SGD, "adam": Adam}[kind](self.parameters)
        norm = self._optimizers[kind].step(self.gradients, learning_rate)
        self.gradients.zero_()
        return norm

    # -- looking at it -------------------------------------------------------------------------------------------------

    @property
    def n_parameters(self):
        """Number of trained values."""
        return self.parameters.size

    def head_mats(self, kind, layer):
        """The per-head Mats of w_q, w_k or w_v (`kind` "q", "k", "v") of a block: views on columns of w_qkv, (d, h) each.

        n_heads of them for "q", n_kv_heads for "k" and "v".
        """
        if kind not in "qkv" or len(kind) != 1:
            raise UsageError(f"kind is {kind!r}; valid: 'q', 'k', 'v'")
        c, h = self.config, self.config.d_head
        start, count = {"q": (0, c.n_heads), "k": (c.d_q, c.n_kv_heads), "v": (c.d_q + c.d_kv, c.n_kv_heads)}[kind]
        fused = self.parameters[f"blocks.{layer}.w_qkv"]
        return [fused.columns(start + n * h, start + (n + 1) * h) for n in range(count)]

    def workspace_bytes(self, batch, length, dropout=False):
        """Bytes of activations and gradient buffers that training on (batch, length) tokens takes, with or without dropout."""
        return bytes_of(buffers_of(self.config, self._precision, batch, length, True, dropout))

    def scratch_sizes(self, batch, length):
        """name -> bytes that the kernels of a training step reserve beside, for the thread that calls them."""
        return scratch_of(self.config, self._precision, batch, length)

    def _tokens(self, tokens):
        """(B, T) int64, checked."""
        array = token_ids(tokens, self.config.vocab_size)
        if array.shape[1] > self.config.context_length:
            raise UsageError(f"{array.shape[1]} tokens in a row; context_length is {self.config.context_length}")
        return array

    def _pair(self, tokens, targets):
        batch, targets = self._tokens(tokens), np.asarray(targets)
        if np.atleast_2d(targets).shape != batch.shape:
            raise UsageError(f"targets have shape {targets.shape}, tokens {batch.shape}: one target a token")
        return batch, target_ids(targets, self.config.vocab_size)

    def __repr__(self):
        c = self.config
        return (
            f"TransformerLM({self.n_parameters:,} parameters: {c.n_layers} blocks, d {c.d_model}, {c.n_heads} heads, "
            f"d_ff {c.d_ff}, vocabulary {c.vocab_size}, context {c.context_length}, {c.norm} norm, {c.positions}, "
            f"{c.feed_forward}, {self.precision})"
        )

