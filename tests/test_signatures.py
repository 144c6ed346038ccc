"""Names, order and defaults of the public functions and classes: those of torch 2.13, and what is added to them."""

import inspect

import pytest

import crossent
import crossent.nn as nn
import crossent.nn.functional as F

# torch's parameters, as text; then those that crossent adds, which are keyword-only.
FUNCTIONS = {
    "cross_entropy": (
        "input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction='mean', label_smoothing=0.0",
        "dim=None, out=None",
    ),
    "nll_loss": (
        "input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction='mean'",
        "dim=None, out=None",
    ),
    "binary_cross_entropy": ("input, target, weight=None, size_average=None, reduce=None, reduction='mean'", "out=None"),
    "binary_cross_entropy_with_logits": (
        "input, target, weight=None, size_average=None, reduce=None, reduction='mean', pos_weight=None",
        "out=None",
    ),
    "multilabel_soft_margin_loss": (
        "input, target, weight=None, size_average=None, reduce=None, reduction='mean'",
        "out=None",
    ),
    "soft_margin_loss": ("input, target, size_average=None, reduce=None, reduction='mean'", "out=None"),
    "sigmoid_focal_loss": ("inputs, targets, alpha=0.25, gamma=2, reduction='none'", "out=None"),
    "mse_loss": ("input, target, size_average=None, reduce=None, reduction='mean', weight=None", "out=None"),
    "l1_loss": ("input, target, size_average=None, reduce=None, reduction='mean', weight=None", "out=None"),
    "smooth_l1_loss": ("input, target, size_average=None, reduce=None, reduction='mean', beta=1.0", "out=None"),
    "huber_loss": ("input, target, reduction='mean', delta=1.0, weight=None", "out=None"),
    "kl_div": ("input, target, size_average=None, reduce=None, reduction='mean', log_target=False", "out=None"),
    "gaussian_nll_loss": ("input, target, var, full=False, eps=1e-06, reduction='mean'", "out=None"),
    "poisson_nll_loss": (
        "input, target, log_input=True, full=False, size_average=None, eps=1e-08, reduce=None, reduction='mean'",
        "out=None",
    ),
    "multi_margin_loss": (
        "input, target, p=1, margin=1.0, weight=None, size_average=None, reduce=None, reduction='mean'",
        "out=None",
    ),
    "multilabel_margin_loss": ("input, target, size_average=None, reduce=None, reduction='mean'", "out=None"),
    "hinge_embedding_loss": ("input, target, margin=1.0, size_average=None, reduce=None, reduction='mean'", "out=None"),
    "softmin": ("input, dim=None, _stacklevel=3, dtype=None", "out=None"),
    "logsigmoid": ("input", "out=None"),
    "sigmoid": ("input", "out=None"),
    "softmax": ("input, dim=None, _stacklevel=3, dtype=None", "out=None"),
    "log_softmax": ("input, dim=None, _stacklevel=3, dtype=None", "out=None"),
    "one_hot": ("tensor, num_classes=-1", ""),
    "logsumexp": ("input, dim, keepdim=False", "out=None"),
}
CLASSES = {
    "CrossEntropyLoss": "weight=None, size_average=None, ignore_index=-100, reduce=None, reduction='mean', label_smoothing=0.0",
    "NLLLoss": "weight=None, size_average=None, ignore_index=-100, reduce=None, reduction='mean'",
    "Softmax": "dim=None",
    "LogSoftmax": "dim=None",
    "BCELoss": "weight=None, size_average=None, reduce=None, reduction='mean'",
    "BCEWithLogitsLoss": "weight=None, size_average=None, reduce=None, reduction='mean', pos_weight=None",
    "MultiLabelSoftMarginLoss": "weight=None, size_average=None, reduce=None, reduction='mean'",
    "SoftMarginLoss": "size_average=None, reduce=None, reduction='mean'",
    "MSELoss": "size_average=None, reduce=None, reduction='mean'",
    "L1Loss": "size_average=None, reduce=None, reduction='mean'",
    "SmoothL1Loss": "size_average=None, reduce=None, reduction='mean', beta=1.0",
    "HuberLoss": "reduction='mean', delta=1.0",
    "KLDivLoss": "size_average=None, reduce=None, reduction='mean', log_target=False",
    "GaussianNLLLoss": "",
    "PoissonNLLLoss": "log_input=True, full=False, size_average=None, eps=1e-08, reduce=None, reduction='mean'",
    "MultiMarginLoss": "p=1, margin=1.0, weight=None, size_average=None, reduce=None, reduction='mean'",
    "MultiLabelMarginLoss": "size_average=None, reduce=None, reduction='mean'",
    "HingeEmbeddingLoss": "margin=1.0, size_average=None, reduce=None, reduction='mean'",
    "Softmin": "dim=None",
    "Softmax2d": "",
    "LogSigmoid": "",
    "Sigmoid": "",
    "LabelSmoothingLoss": "smoothing=0.05, dim=-1",
}
KEYWORD_ONLY = {"GaussianNLLLoss": "full=False, eps=1e-06, reduction='mean'"}  # of a constructor
# Written in C++ in torch: inspect cannot see their parameters there.
OPAQUE_IN_TORCH = {"one_hot", "logsumexp", "logsigmoid"}
IN_TORCHVISION = {"sigmoid_focal_loss"}
NOT_IN_TORCH = {"LabelSmoothingLoss"}
ACTIVATIONS = {"Softmax", "LogSoftmax", "Softmin", "Softmax2d", "LogSigmoid", "Sigmoid"}
CALLS = {
    **{name: "input, target" for name in CLASSES},
    **{name: "input" for name in ACTIVATIONS},
    "GaussianNLLLoss": "input, target, var",
    "PoissonNLLLoss": "log_input, target",
}


def parameters(function, keyword_only=False):
    """The parameters of a function as text, without annotations: those that have a position, or those that have none."""
    chosen = inspect.Parameter.KEYWORD_ONLY if keyword_only else inspect.Parameter.POSITIONAL_OR_KEYWORD
    found = inspect.signature(function).parameters.values()
    assert {p.kind for p in found} <= {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    return ", ".join(str(p.replace(annotation=p.empty, kind=p.POSITIONAL_OR_KEYWORD)) for p in found if p.kind is chosen)


def public(name):
    return crossent.logsumexp if name == "logsumexp" else getattr(F, name)


def test_the_tables_are_complete():
    assert set(FUNCTIONS) == {*F.__all__, "logsumexp"}
    assert set(CLASSES) == {name for name in nn.__all__ if isinstance(getattr(nn, name), type)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_have_the_parameters_of_torch_and_their_own(name):
    assert (parameters(public(name)), parameters(public(name), keyword_only=True)) == FUNCTIONS[name]


@pytest.mark.parametrize("name", CLASSES)
def test_classes_have_the_parameters_of_torch(name):
    assert parameters(getattr(nn, name)) == CLASSES[name]
    assert parameters(getattr(nn, name), keyword_only=True) == KEYWORD_ONLY.get(name, "")


@pytest.mark.parametrize("name", CLASSES)
def test_calls_of_objects_have_the_parameters_of_torch(name):
    assert parameters(getattr(nn, name)()) == CALLS[name]


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - OPAQUE_IN_TORCH - IN_TORCHVISION))
def test_the_table_of_functions_is_torch_s(torch, name):
    assert parameters(getattr(torch.nn.functional, name)) == FUNCTIONS[name][0]


@pytest.mark.parametrize("name", sorted(OPAQUE_IN_TORCH))
def test_functions_that_are_opaque_in_torch_are_documented_so(torch, name):
    owner = torch if name == "logsumexp" else torch.nn.functional
    words = [p.split("=")[0] for p in FUNCTIONS[name][0].split(", ")]
    first_line = next(line for line in getattr(owner, name).__doc__.splitlines() if line.strip())
    assert [word for word in words if word in first_line] == words


@pytest.mark.parametrize("name", sorted(set(CLASSES) - NOT_IN_TORCH))
def test_the_table_of_classes_is_torch_s(torch, name):
    if CLASSES[name] or name in KEYWORD_ONLY:  # else torch's own is (*args, **kwargs), of a Module
        assert parameters(getattr(torch.nn, name)) == CLASSES[name]
        assert parameters(getattr(torch.nn, name), keyword_only=True) == KEYWORD_ONLY.get(name, "")
    assert parameters(getattr(torch.nn, name).forward).removeprefix("self, ") == CALLS[name]


def test_autodiff_has_the_signatures_of_jax():
    assert str(inspect.signature(crossent.value_and_grad)).startswith("(fn: ")
    assert parameters(crossent.value_and_grad) == parameters(crossent.grad) == "fn, argnums=0"
    vjp = inspect.signature(crossent.vjp).parameters
    assert [(p.name, p.kind.name) for p in vjp.values()] == [
        ("fn", "POSITIONAL_OR_KEYWORD"),
        ("args", "VAR_POSITIONAL"),
        ("argnums", "KEYWORD_ONLY"),
        ("kwargs", "VAR_KEYWORD"),
    ]
    assert vjp["argnums"].default == 0


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {"one_hot"}))
def test_every_differentiable_function_says_its_name(name):
    function = public(name)
    assert function.__name__ == name
    assert name in repr(function)
    assert function.__doc__.strip()
    assert all(p.annotation is not p.empty for p in inspect.signature(function).parameters.values())
