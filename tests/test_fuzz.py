"""Any array, lying anyhow in memory, gives the bits of its dense copy, or an exception that is documented; and nothing is
written to but `out`. ``make fuzz`` runs 10^5 cases in batches, each of a seed of its own; the suite runs the beginning of one.
"""

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings

import crossent
from crossent import _runtime
from gradients import flowing_in
from strategies import Layout, placed, situations

DOCUMENTED = (TypeError, ValueError, IndexError)


def answer(situation, args, kwargs, flow, out=None):
    """What is asked for; last, what would be written to `out`."""
    function = situation.call.case.function
    how = {} if out is None else {"out": out}
    if situation.ask == "value":
        return [function(*args, **kwargs, **how)]
    if situation.ask == "both":
        return list(crossent.value_and_grad(function, situation.argnum)(*args, **kwargs, **how))
    value, pullback = crossent.vjp(function, *args, argnums=situation.argnum, **kwargs)
    return [value, pullback(flow(value), **how)]


def outcome(*asked):
    """The answer, or the kind of the exception; and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            results = answer(*asked)
        except DOCUMENTED as error:
            results = type(error)
    assert all(warning.category is UserWarning for warning in caught), [str(warning.message) for warning in caught]
    return results, [str(warning.message) for warning in caught]


def dense(thing):
    return np.array(thing, thing.dtype.newbyteorder("="), order="C") if isinstance(thing, np.ndarray) else thing


def output(situation, like, operands):
    """An array like a result, apart from the operands or over one of them, and its memory."""
    if situation.out != "apart":
        over, shift = situation.out
        memory, start = operands[over].memory, operands[over].start + int(shift * like.itemsize)
        if memory is not None and start + like.nbytes <= memory.size:
            return np.ndarray(like.shape, like.dtype, memory.data, start), memory
    return placed(np.zeros_like(like), situation.layouts["out"])[:2]


def bits(results):
    if isinstance(results, type):
        return results
    return [(array.dtype, array.shape, array.tobytes()) for array in map(np.asarray, results)]


def check(situation):
    call = situation.call
    arguments = {**dict(enumerate(call.args)), **call.kwargs}
    operands = {key: placed(thing, situation.layouts.get(key, Layout())) for key, thing in arguments.items()}

    def flow(value):
        return placed(flowing_in(np.shape(value), value.dtype), situation.layouts["g"]).thing

    def asked(form, flow, *out):
        things = {key: form(operand.thing) for key, operand in operands.items()}
        args = [things.pop(number) for number in range(len(call.args))]
        return situation, args, things, flow, *out

    expected, expected_warnings = outcome(*asked(dense, lambda value: dense(flow(value))))
    memories = [operand.memory for operand in operands.values() if operand.memory is not None]
    out = old = None
    if situation.out:
        like = np.zeros(call.args[0].shape) if isinstance(expected, type) else np.asarray(expected[-1])
        out, memory = output(situation, like, operands)
        memories.append(memory)
        old = out.copy()
    before = [memory.copy() for memory in memories]
    with crossent.num_threads(situation.threads):
        results, found_warnings = outcome(*asked(lambda thing: thing, flow, out))
    if out is not None and isinstance(results, list):
        assert results[-1] is out
        results[-1] = out.copy()
        out[...] = old
    for memory, copy in zip(memories, before, strict=True):
        np.testing.assert_array_equal(memory, copy)
    assert bits(results) == bits(expected)
    assert found_warnings == expected_warnings


def check_with_its_isa(situation):
    with _runtime.use_isa(situation.isa):
        check(situation)


@pytest.mark.parametrize("number", [0, *(pytest.param(number, marks=pytest.mark.long) for number in range(1, 101))])
def test_batch(number):
    """The number is the seed: a batch has the same cases in every run."""
    how = settings(max_examples=1000 if number else 300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    seed(number)(how(given(situations())(check_with_its_isa)))()
