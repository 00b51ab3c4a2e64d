"""check_gradients: right gradients agree, a wrong one is named with its place, float32 is refused; also for one's own model."""

import numpy as np
import pytest

import toylm
from toylm.errors import UsageError

TOKENS, TARGETS = np.array([[1, 2, 3, 1], [4, 0, 0, 6]]), np.array([[2, 3, -1, 0], [0, 0, 6, 5]])


def tiny(cls=toylm.TransformerLM, precision="float64", **changes):
    fields = dict(vocab_size=7, d_model=8, d_ff=10, n_heads=2, n_layers=1, context_length=5)
    return cls(toylm.ModelConfig(**fields | changes), seed=1, precision=precision)


class Bigram:
    """A learner's own model: logits are a row of w for the last token, squared; loss and gradient by hand."""

    def __init__(self):
        self.parameters = toylm.Parameters([("w", 7, 7), ("unused", 1, 3)], np.float64)
        self.parameters["w"].fill_random(1.0, np.random.default_rng(0))
        self.gradients = self.parameters.like()

    def _log_probabilities(self, tokens):
        logits = self.parameters["w"].array[tokens] ** 2
        return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))

    def loss(self, tokens, targets):
        return -np.take_along_axis(self._log_probabilities(tokens), targets[..., None], axis=-1).mean()

    def loss_and_gradients(self, tokens, targets):
        dlogits = (np.exp(self._log_probabilities(tokens)) - np.eye(7)[targets]) / tokens.size
        # forward: logits = w[tokens]²
        np.add.at(self.gradients["w"].array, tokens, dlogits * 2 * self.parameters["w"].array[tokens])
        return self.loss(tokens, targets)


def test_a_fresh_model_agrees_and_is_left_as_it_was():
    model = tiny()
    model.gradients.flat[:] = 3.0
    before = model.parameters.flat.copy()
    check = toylm.check_gradients(model, TOKENS, TARGETS)
    assert check and check.ok and not check.wrong()
    assert [t.name for t in check.tensors] == model.parameters.names
    assert {t.name: t.checked for t in check.tensors} == {n: min(50, m.flat.size) for n, m in model.parameters.items()}
    assert [t.shape for t in check.tensors] == [mat.array.shape for _, mat in model.parameters.items()]
    np.testing.assert_array_equal(model.parameters.flat, before)
    assert (model.gradients.flat == 3.0).all()
    lines = repr(check).splitlines()
    assert len(lines) == len(check.tensors) + 2 and lines[-1] == f"all {len(check.tensors)} gradients agree to 1e-06"
    assert "token_embed" in lines[1] and "7 x 8" in lines[1]


def test_a_wrong_gradient_is_named_with_its_place():
    class Wrong(toylm.TransformerLM):
        def loss_and_gradients(self, tokens, targets):
            loss = super().loss_and_gradients(tokens, targets)
            self.gradients["blocks.0.w_o"].array[5, 3] += 0.25
            return loss

    check = toylm.check_gradients(tiny(Wrong), TOKENS, TARGETS, values=None)
    (wrong,) = check.wrong()
    assert not check and wrong.name == "blocks.0.w_o" and wrong.worst == (5, 3) and wrong.checked == 64
    assert wrong.absolute == pytest.approx(0.25, rel=1e-6)
    assert wrong.gradient - wrong.difference == pytest.approx(0.25, rel=1e-6)
    assert repr(check).splitlines()[-1] == "wrong: blocks.0.w_o" and repr(check).count("WRONG") == 1


def test_a_model_of_ones_own_also_where_a_parameter_is_not_used():
    model = Bigram()
    tokens, targets = TOKENS, np.abs(TARGETS)
    assert toylm.check_gradients(model, tokens, targets, values=None)
    model.loss = lambda tokens, targets: float("nan")
    assert [t.name for t in toylm.check_gradients(model, tokens, targets).wrong()] == ["w", "unused"]


def test_what_cannot_be_checked_is_refused():
    with pytest.raises(UsageError, match=r'float32, whose rounding hides errors: check model.astype\("float64"\)'):
        toylm.check_gradients(tiny(precision="float32"), TOKENS, TARGETS)
    assert toylm.check_gradients(tiny(precision="float32").astype("float64"), TOKENS, TARGETS, values=5)
    with pytest.raises(UsageError, match="values is 0; check at least 1"):
        toylm.check_gradients(tiny(), TOKENS, TARGETS, values=0)
