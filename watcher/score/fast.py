"""The same model, faster on a CPU: linear layers through oneDNN, with the activation after them in the same step.

torch hands fp32 matrix products to MKL, which gives AMD processors its AVX2 code; oneDNN, in the same torch, uses what
the processor has. Weights stay where and as they are, but for a factor that QuickGELU moves into them.

Imported only inside the worker and by `watcher score`: it loads torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, linear, silu

QUICK = 1.702
"""QuickGELU(x) = x sigmoid(1.702 x), from https://github.com/hendrycks/GELUs."""
NEAR = 1e-5
"""How far a step may lie from torch's own, on numbers around 1, to be taken in its place."""
INSTRUCTIONS = ("AVX2", "AVX512")
"""Where oneDNN has code of its own that is at least as fast; elsewhere nothing is replaced."""


@dataclass(frozen=True, slots=True)
class Activation:
    """What follows a linear layer, as oneDNN's name for it and as torch's function."""

    attribute: str
    function: Callable[[Tensor], Tensor]
    algorithm: str = ""
    scale: float = 1.0
    """The activation is function(scale x) / scale."""

    def __call__(self, numbers: Tensor) -> Tensor:
        """Apply it, with its scale."""
        return self.function(numbers * self.scale) / self.scale


NONE = Activation("none", lambda numbers: numbers)
ACTIVATIONS = (
    Activation("swish", silu, scale=QUICK),
    Activation("swish", silu),
    Activation("gelu", gelu, "none"),
    Activation("gelu", partial(gelu, approximate="tanh"), "tanh"),
)


class FastLinear(nn.Linear):
    """A linear layer, and the activation after it; shares its weights with the layer that it is made of."""

    def __init__(self, of: nn.Linear, activation: Activation = NONE) -> None:
        nn.Module.__init__(self)  # that of Linear would allocate weights
        self.in_features, self.out_features = of.in_features, of.out_features
        self.weight, self.bias = of.weight, of.bias
        self.activation = activation
        self.eval()

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that Linear gives it
        """Give function(input W^T + b), shape (..., out); a model that has moved to a GPU takes torch's own steps."""
        if input.device.type != "cpu":
            return self.activation.function(linear(input, self.weight, self.bias))
        return _step(input, self.weight, self.bias, self.activation)


def quicken(model: Any) -> Any:
    """Replace the fp32 linear layers of a model that is only evaluated, in place; gives the model.

    Every number stays within fp32's rounding. Where oneDNN cannot be used, nothing is changed.
    """
    if usable():
        for block in list(model.modules()):
            _fuse(block)
        for block in list(model.modules()):
            for name, layer in list(block.named_children()):
                if _plain(layer):
                    setattr(block, name, FastLinear(layer))
    return model


@cache
def usable() -> bool:
    """Tell whether this processor and this torch have the fast steps, and these give what torch's own give."""
    if torch.backends.cpu.get_cpu_capability() not in INSTRUCTIONS:
        return False
    try:
        return all(_agrees(activation) for activation in (NONE, *ACTIVATIONS))
    except (AttributeError, RuntimeError, TypeError):  # a torch without it, or with another signature
        return False


@torch.inference_mode()
def _agrees(activation: Activation) -> bool:
    made = torch.Generator().manual_seed(0)
    numbers, weight = (torch.randn(rows, 32, generator=made) / 4 for rows in (7, 24))
    bias = torch.randn(24, generator=made)
    expected = activation.function(linear(numbers, weight, bias))
    return torch.allclose(_step(numbers, weight, bias, activation), expected, rtol=0, atol=NEAR)


def _step(numbers: Tensor, weight: Tensor, bias: Tensor | None, activation: Activation) -> Tensor:
    step = torch.ops.mkldnn._linear_pointwise  # what torch.compile calls on CPUs
    found: Tensor = step(numbers, weight, bias, activation.attribute, [], activation.algorithm)
    return found


def _fuse(block: nn.Module) -> None:
    """Let the first layer of a transformer's MLP (fc1, activation_fn, fc2) apply the activation as well."""
    parts = (getattr(block, name, None) for name in ("fc1", "activation_fn", "fc2"))
    first, curve, second = parts
    if not (_plain(first) and _plain(second) and callable(curve)):
        return
    known = next((one for one in ACTIVATIONS if _same(curve, one)), None)
    if known is None:
        return
    _move_scale(first, second, known.scale)
    block.fc1, block.activation_fn = FastLinear(first, known), nn.Identity()


@torch.no_grad()
def _move_scale(first: nn.Linear, second: nn.Linear, scale: float) -> None:
    """Have the first layer give `scale` times its numbers, and the second undo it: exact but for fp32's rounding."""
    if scale == 1.0:
        return
    for numbers in _parameters(first):
        numbers.mul_(scale)
    second.weight.div_(scale)


def _parameters(layer: nn.Linear) -> Iterator[Tensor]:
    yield layer.weight
    if layer.bias is not None:
        yield layer.bias


@torch.inference_mode()
def _same(curve: Callable[[Tensor], Tensor], known: Activation) -> bool:
    """Tell an activation by what it does: its classes have other names in other versions of transformers."""
    numbers = torch.linspace(-8, 8, 321)
    return torch.allclose(curve(numbers), known(numbers), rtol=0, atol=1e-6)


def _plain(layer: Any) -> TypeGuard[nn.Linear]:
    """Tell whether it is torch's own linear layer in fp32, and no class derived from it that may do something else."""
    return type(layer) is nn.Linear and layer.weight.dtype == torch.float32
