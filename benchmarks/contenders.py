"""Who computes a point of the grid, and how: ours and each peer by its fastest public way. Called by peers.py.

A contender makes of a point's inputs a call that takes nothing: conversions and buffers are made before, and of a call that
takes a microsecond little else is timed. A peer that is not installed, or that cannot do a point, is named and left out.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import crossent

from .common import Point

Inputs = dict[str, Any]
Call = Callable[[], Any]

LEAST_FORCED = 1 << 20  # bytes of logits: forcing asks the CPU what it has, which takes 0.1 ms in a virtual machine


class Contender(NamedTuple):
    name: str
    prepare: Callable[[Inputs], Call]


def ours(point: Point, with_gradient: bool) -> list[Contender]:
    function = point.value_and_grad if with_gradient else point.value

    def prepare(inputs: Inputs) -> Call:
        return partial(function, inputs["logits"], inputs["target"], **inputs["options"])

    def with_buffer(inputs: Inputs) -> Call:
        return partial(prepare(inputs), out=np.zeros_like(inputs["logits"]))

    if not with_gradient:
        return [Contender("crossent", prepare)]
    return [Contender("crossent", with_buffer), Contender("crossent, fresh output", prepare)]


def lower_instruction_sets(point: Point, with_gradient: bool) -> list[Contender]:
    """Ours once more, with each lower instruction set of this CPU forced."""
    if point.nbytes < LEAST_FORCED:
        return []

    def forced(isa: str, plain: Contender) -> Contender:
        def run(call: Call) -> Any:
            with crossent._runtime.use_isa(isa):
                return call()

        return Contender(f"crossent, {isa}", lambda inputs: partial(run, plain.prepare(inputs)))

    plain = ours(point, with_gradient)[0]
    best = crossent._runtime.config()["instruction set"]
    return [forced(isa, plain) for isa in crossent._runtime.isa_names() if isa != best]


def tensor(array: Any) -> Any:
    import torch

    if not isinstance(array, np.ndarray):
        return array
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def torch_contender(name: str, function: Callable[..., Any], with_gradient: bool) -> Contender:
    import torch

    def value(logits: Any, target: Any, **options: Any) -> Any:
        with torch.inference_mode():
            return function(logits, target, **options)

    def value_and_gradient(logits: Any, target: Any, **options: Any) -> Any:
        leaf = logits.detach().requires_grad_()
        loss = function(leaf, target, **options)
        return torch.autograd.grad(loss, leaf)[0]

    def prepare(inputs: Inputs) -> Call:
        options = {key: tensor(value) for key, value in inputs["options"].items()}
        run = value_and_gradient if with_gradient else value
        return partial(run, tensor(inputs["logits"]), tensor(inputs["target"]), **options)

    return Contender(name, prepare)


def torch_eager(point: Point, with_gradient: bool) -> list[Contender]:
    import torch.nn.functional as TF

    return [torch_contender("torch", getattr(TF, point.function), with_gradient)]


def torch_compiled(point: Point, with_gradient: bool) -> list[Contender]:
    import torch
    import torch.nn.functional as TF

    torch._dynamo.reset()

    function = getattr(TF, point.function)

    def loss(logits: Any, target: Any, **options: Any) -> Any:
        return function(logits, target, **options)

    return [torch_contender("torch.compile", torch.compile(loss, dynamic=False), with_gradient)]


def jax_jit(point: Point, with_gradient: bool) -> list[Contender]:
    import jax
    import jax.numpy as jnp
    import optax

    if point.weight or point.dtype == "float64":
        return []
    jax.config.update("jax_platforms", "cpu")
    eps = point.label_smoothing

    elementwise = {
        "binary_cross_entropy_with_logits": lambda x, y: optax.sigmoid_binary_cross_entropy(x, y).mean(),
        "kl_div": lambda x, y: optax.kl_divergence(x, y).mean(),
        "mse_loss": lambda x, y: optax.squared_error(x, y).mean(),
    }

    def mean_loss(logits: Any, target: Any) -> Any:
        if point.is_elementwise:
            return elementwise[point.function](logits, target)
        rows = jnp.moveaxis(logits, 1, -1)
        if point.probabilities or eps:
            target = target if point.probabilities else jax.nn.one_hot(target, point.shape[1])
            return optax.softmax_cross_entropy(rows, optax.smooth_labels(target, eps)).mean()
        return optax.softmax_cross_entropy_with_integer_labels(rows, target).mean()

    compiled = jax.jit(jax.value_and_grad(mean_loss) if with_gradient else mean_loss)

    def run(logits: Any, target: Any) -> Any:
        return jax.block_until_ready(compiled(logits, target))

    return [Contender("jax.jit", lambda i: partial(run, jnp.asarray(i["logits"]), jnp.asarray(i["target"])))]


def scikit_learn(point: Point, with_gradient: bool) -> list[Contender]:
    from sklearn._loss import HalfMultinomialLoss

    is_plain = not (point.weight or point.label_smoothing or point.probabilities or point.is_elementwise)
    if not is_plain or len(point.shape) > 2 or point.shape[1] > 1000 or point.dtype == "bfloat16":
        return []
    loss = HalfMultinomialLoss(n_classes=point.shape[1])
    threads = crossent.get_num_threads()

    def prepare(inputs: Inputs) -> Call:
        logits, target = inputs["logits"], inputs["target"].astype(point.dtype)
        losses = np.zeros_like(target)
        if with_gradient:
            return partial(loss.loss_gradient, target, logits, None, losses, np.zeros_like(logits), threads)
        return partial(loss.loss, target, logits, None, losses, threads)

    return [Contender("scikit-learn", prepare)]


def scipy_special(point: Point, with_gradient: bool) -> list[Contender]:
    from scipy.special import log_softmax

    is_plain = not (point.weight or point.label_smoothing or point.probabilities or point.is_elementwise)
    if with_gradient or not is_plain or len(point.shape) > 2 or point.dtype == "bfloat16":
        return []

    def run(logits: Any, target: Any) -> Any:
        logs = log_softmax(logits, axis=1)
        return -np.take_along_axis(logs, target[:, None], 1).mean()

    return [Contender("scipy", lambda i: partial(run, i["logits"], i["target"]))]


PEERS: dict[str, Callable[[Point, bool], list[Contender]]] = {
    "torch": torch_eager,
    "compile": torch_compiled,
    "jax": jax_jit,
    "sklearn": scikit_learn,
    "scipy": scipy_special,
    "lower": lower_instruction_sets,
}


def contenders(point: Point, with_gradient: bool, peers: list[str]) -> tuple[list[Contender], list[str]]:
    """Ours first, then the peers that are here and can do this point; and a line for each that failed."""
    found, failures = ours(point, with_gradient), []
    inputs = point.inputs()
    for peer in peers:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                for contender in PEERS[peer](point, with_gradient):
                    contender.prepare(inputs)()
                    found.append(contender)
            except Exception as error:  # whatever a peer throws, the others go on
                failures.append(f"{peer}: {type(error).__name__}: {str(error).splitlines()[0][:80] if str(error) else ''}")
    return found, failures
