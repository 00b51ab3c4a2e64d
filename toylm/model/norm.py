"""The norms as parts: RMSNorm, h = gamma · x / sqrt(mean(x²) + eps), and LayerNorm, which takes off the mean and adds beta."""


from ..kernels.layernorm import layernorm_backward, layernorm_forward
from ..kernels.norm_projection import LAYER, RMS
from ..kernels.placement import threads_now
from ..kernels.rmsnorm import add_parts, rmsnorm_backward, rmsnorm_forward


class NormOf:
    """The norm of x (N, d) as a step that is still to be taken: a part may take it inside a kernel of its own.

    Whoever takes it writes h (N, d) and rstd (N,), which the backward pass reads. And on the way back the same.
    """

    def __init__(self, norm, x, rstd):
        self.norm, self.x, self.rstd = norm, x, rstd

    def take(self, parameters, h):
        """h = norm(x), in a pass of its own."""
        self.norm.forward(parameters, self.x, h, self.rstd)

    def arguments(self, parameters):
        """(kind, gamma, beta, eps), as kernels want them."""
        return self.norm.arguments(parameters)

    def backward(self, parameters, gradients, workspace, dh, dx):
        """dx += gradient of x, in a pass of its own."""
        self.norm.backward(parameters, gradients, workspace, dh, self.x, self.rstd, dx)

    def rms_arguments(self, parameters):
        """(x, gamma, rstd) for a kernel that takes an RMSNorm's backward pass along; None where the norm is another."""
        return (self.x, parameters[self.norm.gamma].flat, self.rstd) if isinstance(self.norm, RMSNorm) else None


class RMSNorm:
    """One gain a channel, "<name>_gamma"; `name` is e.g. "blocks.0.norm1"."""

    def __init__(self, config, name):
        self.gamma, self.d, self.eps = f"{name}_gamma", config.d_model, config.norm_eps

    def layout(self):
        return [(self.gamma, 1, self.d)]

    def arguments(self, parameters):
        """(kind, gamma, beta, eps); beta is not read."""
        gamma = parameters[self.gamma].flat
        return RMS, gamma, gamma, self.eps

    def forward(self, parameters, x, h, rstd):
        """x (N, d) -> h (N, d); rstd (N,) is kept for the backward pass."""
        rmsnorm_forward(x, parameters[self.gamma].flat, self.eps, h, rstd)

    def backward_sizes(self):
        """The buffers that `backward` takes: name -> number of values."""
        return {"dgamma_parts": threads_now() * self.d}

    def backward(self, parameters, gradients, workspace, dh, x, rstd, dx):
        """dx += gradient of x; the gain's gradient is added to."""
        parts = workspace.take("dgamma_parts", (threads_now(), self.d))
        rmsnorm_backward(dh, x, parameters[self.gamma].flat, rstd, dx, parts)
        add_parts(parts, gradients[self.gamma].flat)


class LayerNorm:
    """A gain and a shift a channel, "<name>_gamma" and "<name>_beta"."""

    def __init__(self, config, name):
        self.gamma, self.beta, self.d, self.eps = f"{name}_gamma", f"{name}_beta", config.d_model, config.norm_eps

    def layout(self):
        return [(self.gamma, 1, self.d), (self.beta, 1, self.d)]

    def arguments(self, parameters):
        """(kind, gamma, beta, eps)."""
        return LAYER, parameters[self.gamma].flat, parameters[self.beta].flat, self.eps

    def forward(self, parameters, x, h, rstd):
        """x (N, d) -> h (N, d); rstd (N,) is kept for the backward pass."""
        layernorm_forward(x, parameters[self.gamma].flat, parameters[self.beta].flat, self.eps, h, rstd)

    def backward_sizes(self):
        """The buffers that `backward` takes: name -> number of values."""
        return dict.fromkeys(("dgamma_parts", "dbeta_parts"), threads_now() * self.d)

    def backward(self, parameters, gradients, workspace, dh, x, rstd, dx):
        """dx += gradient of x; the gradients of gain and shift are added to."""
        shape = (threads_now(), self.d)
        gamma_parts, beta_parts = workspace.take("dgamma_parts", shape), workspace.take("dbeta_parts", shape)
        layernorm_backward(dh, x, parameters[self.gamma].flat, rstd, dx, gamma_parts, beta_parts)
        add_parts(gamma_parts, gradients[self.gamma].flat)
        add_parts(beta_parts, gradients[self.beta].flat)
