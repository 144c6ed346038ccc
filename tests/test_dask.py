"""crossent.dask against the same arrays on one machine: blocks of rows and of classes, schedulers, a worker that is killed."""

import decimal
import importlib
import os
import signal
from decimal import Decimal

import numpy as np
import pytest

import crossent
import crossent.nn.functional as F
from crossent import _class_blocks as class_blocks
from score_reference import bits

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
importlib.import_module("crossent.dask")  # behind the lines that skip

ROWS, CLASSES = 60, 11
BLOCKS = {
    "one": (ROWS, CLASSES),
    "rows": ((7, 0, 33, 20), CLASSES),
    "classes": (ROWS, (1, 4, 0, 6)),
    "both": ((7, 0, 33, 20), (1, 4, 0, 6)),
    "each": (13, 1),
}
WEIGHT = np.linspace(0.25, 3, CLASSES)
OPTIONS = {
    "plain": {},
    "weight": {"weight": WEIGHT},
    "smoothing": {"label_smoothing": 0.2},
    "smoothing, weight": {"label_smoothing": 0.2, "weight": WEIGHT},
}


@pytest.fixture(autouse=True)
def synchronous():
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture(scope="module")
def client():
    """Two processes; tests of other schedulers do not need them, so that they start late."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, worker_dashboard_address=None
        ) as cluster,
        distributed.Client(cluster, timeout=60, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture
def arrays(rng):
    """Logits and targets, of which rows 10 to 29 are ignored; in odd rows the target is the most likely class."""
    logits = 5 * rng.normal(size=(ROWS, CLASSES))
    target = rng.integers(0, CLASSES, ROWS)
    target[1::2] = logits[1::2].argmax(axis=1)
    target[10:30] = -100
    return logits, target


def ulps(value, wanted):
    return np.max(abs(value - wanted) / np.spacing(abs(wanted)))


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("chunks", BLOCKS.values(), ids=BLOCKS)
def test_the_mean_is_that_of_one_machine_to_1_ulp(arrays, chunks, options):
    logits, target = arrays
    loss = crossent.dask.cross_entropy(da.from_array(logits, chunks), target, **options).compute()
    assert ulps(loss, crossent.score(logits, target, **options).mean_loss) <= 1


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("chunks", BLOCKS.values(), ids=BLOCKS)
def test_rows_and_gradient(arrays, chunks, options):
    logits, target = arrays
    x = da.from_array(logits, chunks)
    losses = crossent.dask.cross_entropy(x, target, reduction="none", **options)
    loss, gradient = crossent.dask.value_and_grad(x, da.from_array(target, 9), **options)
    assert losses.chunks == x.chunks[:1]
    assert gradient.chunks == x.chunks
    rows, wanted = F.cross_entropy(logits, target, reduction="none", **options), crossent.grad(F.cross_entropy)
    if x.numblocks[1] == 1:
        np.testing.assert_array_equal(losses.compute(), rows)
        np.testing.assert_allclose(gradient.compute(), wanted(logits, target, **options), rtol=4e-16)
        assert loss.compute() == crossent.dask.cross_entropy(da.from_array(logits), target, **options).compute()
    else:
        np.testing.assert_allclose(losses.compute(), rows, rtol=2e-15)
        np.testing.assert_allclose(gradient.compute(), wanted(logits, target, **options), rtol=1e-14, atol=1e-17)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("chunks", BLOCKS.values(), ids=BLOCKS)
def test_float32_is_rounded_once(arrays, chunks, reduction):
    logits, target = arrays[0].astype(np.float32), arrays[1]
    loss, gradient = dask.compute(*crossent.dask.value_and_grad(da.from_array(logits, chunks), target, reduction=reduction))
    wanted = crossent.value_and_grad(F.cross_entropy)(logits, target, reduction=reduction)
    losses = crossent.dask.cross_entropy(da.from_array(logits, chunks), target, reduction="none").compute()
    assert losses.dtype == loss.dtype == gradient.dtype == np.float32
    np.testing.assert_allclose(loss, wanted[0], rtol=2e-7)
    np.testing.assert_allclose(gradient, wanted[1], rtol=2e-6, atol=1e-9)


@pytest.mark.parametrize("chunks", BLOCKS.values(), ids=BLOCKS)
def test_a_class_may_be_ignored(arrays, chunks):
    logits, target = arrays[0], np.where(arrays[1] < 0, 3, arrays[1])
    loss, gradient = dask.compute(*crossent.dask.value_and_grad(da.from_array(logits, chunks), target, ignore_index=3))
    assert ulps(loss, crossent.score(logits, target, ignore_index=3).mean_loss) <= 1
    assert not gradient[target == 3].any()


def test_more_dimensions(rng):
    logits, target = rng.normal(size=(6, 5, 3, 4)), rng.integers(0, 5, (6, 3, 4))
    x = da.from_array(logits, (4, 2, 2, 3))
    loss, gradient = dask.compute(*crossent.dask.value_and_grad(x, target))
    wanted = crossent.value_and_grad(F.cross_entropy)(logits, target)
    np.testing.assert_allclose(loss, wanted[0], rtol=3e-16)
    np.testing.assert_allclose(gradient, wanted[1], rtol=1e-14)


@pytest.mark.parametrize("chunks", [(9, 1), (20, (1, 2)), (20, (2, 1))], ids=str)
def test_small_losses_and_gradients_keep_their_digits(rng, chunks):
    """Against decimals: where the target has nearly all of the probability, and x - max is not a float64."""
    logits = rng.uniform(0, 3, size=(20, 3))
    logits[:, 0] += 30.1
    with decimal.localcontext(decimal.Context(prec=60)):
        rows = [[Decimal(x) for x in row] for row in logits]
        rest = [sum((x - row[0]).exp() for x in row[1:]) for row in rows]
        losses, gradient = zip(*[(float((1 + r).ln()), float(-r / (1 + r))) for r in rest], strict=True)
    x, target = da.from_array(logits, chunks), np.zeros(20, int)
    computed = crossent.dask.cross_entropy(x, target, reduction="none").compute()
    np.testing.assert_allclose(computed, losses, rtol=8e-16)
    computed = crossent.dask.value_and_grad(x, target, reduction="sum")[1].compute()
    np.testing.assert_allclose(computed[:, 0], gradient, rtol=8e-16)


@pytest.mark.parametrize("chunks", [(2, 2), (1, 1)], ids=str)
def test_rows_of_no_weight(chunks):
    """torch: 0 / 0 without smoothing; with it 0 / 0 + smoothing / 0."""
    logits, target, weight = np.array([[1.0, 2], [3, 5]]), np.array([0, 0]), np.array([0.0, 1])
    for smoothing in (0.0, 0.1):
        options = {"weight": weight, "label_smoothing": smoothing}
        loss, gradient = dask.compute(*crossent.dask.value_and_grad(da.from_array(logits, chunks), target, **options))
        wanted = crossent.value_and_grad(F.cross_entropy)(logits, target, **options)
        np.testing.assert_array_equal(loss, wanted[0])
        np.testing.assert_array_equal(gradient, wanted[1])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("chunks", BLOCKS.values(), ids=BLOCKS)
def test_infinite_logits_and_nan(arrays, chunks, smoothing):
    logits, target = arrays
    logits[0, :5] = -np.inf  # blocks of nothing else
    logits[1] = -np.inf
    logits[2, [1, 8]] = np.inf
    logits[3, 6] = np.nan
    logits[4] = 1e308 * np.linspace(-1, 1, CLASSES)
    logits[12] = np.nan  # ignored
    x, target[0] = da.from_array(logits, chunks), 7
    options = {"reduction": "none", "label_smoothing": smoothing}
    wanted, pullback = crossent.vjp(F.cross_entropy, logits, target, **options)
    np.testing.assert_allclose(crossent.dask.cross_entropy(x, target, **options).compute(), wanted, rtol=2e-15)
    gradient = crossent.dask.value_and_grad(x, target, reduction="sum", label_smoothing=smoothing)[1].compute()
    np.testing.assert_allclose(gradient, pullback(np.ones(ROWS)), rtol=1e-13, atol=1e-16)


@pytest.mark.parametrize("chunks", BLOCKS.values(), ids=BLOCKS)
def test_nothing_but_ignored_rows(arrays, chunks):
    x, target = da.from_array(arrays[0], chunks), np.full(ROWS, -100)
    for smoothing in (0.0, 0.1):
        loss, gradient = dask.compute(*crossent.dask.value_and_grad(x, target, label_smoothing=smoothing))
        assert np.isnan(loss)
        assert not gradient.any()
    assert crossent.dask.cross_entropy(x, target, reduction="sum").compute() == 0


def test_no_rows():
    x, target = da.zeros((0, 4), chunks=(1, 2)), np.zeros(0, int)
    assert np.isnan(crossent.dask.cross_entropy(x, target).compute())
    assert crossent.dask.value_and_grad(x, target)[1].compute().shape == (0, 4)
    assert crossent.dask.score(x, target).compute().rows == 0


def test_partials_merge_in_any_grouping(arrays):
    logits, target = arrays
    logits[0, :3] = -np.inf
    options = class_blocks.Options(CLASSES, WEIGHT, -100, 0.1)
    columns = np.split(np.arange(CLASSES), [2, 3, 7])
    parts = [class_blocks.partials(target, logits[:, c], c, options=options) for c in columns]
    a, b, c, d = parts
    groupings = [parts, [merged(a, b), merged(c, d)], [d, merged(merged(c, a), b)]]
    results = [class_blocks.losses(target, merged(*g)[:, 0], options=options) for g in groupings]
    for result in results:
        np.testing.assert_allclose(result, results[0], rtol=2e-15)


def merged(*parts):
    return class_blocks.merge(np.concatenate(parts, axis=1))


@pytest.mark.parametrize("chunks", BLOCKS.values(), ids=BLOCKS)
def test_score_is_that_of_one_machine(arrays, chunks):
    logits, target = arrays
    options = {"weight": WEIGHT, "label_smoothing": 0.1, "temperature": 1.5, "top_k": 3, "nbytes": 100}
    result = crossent.dask.score(da.from_array(logits, chunks), target, **options).compute()
    wanted = crossent.score(logits, target, **options)
    assert bits(result, positions=True) == bits(wanted, positions=True)


def test_score_of_many_blocks_and_of_probabilities(rng):
    logits, target = rng.normal(size=(40, 3)), rng.dirichlet(np.ones(3), 40)
    result = crossent.dask.score(da.from_array(logits, (1, 2)), target).compute()
    assert result.mean_loss == crossent.score(logits, target).mean_loss


def test_nothing_is_computed_before_compute():
    def unwanted(block):
        raise AssertionError("computed")

    x = da.map_blocks(unwanted, da.zeros((8, 6), chunks=(2, 3)), dtype=np.float64, meta=np.empty((0, 0)))
    target = da.map_blocks(unwanted, da.zeros(8, chunks=2, dtype=int), dtype=np.int64, meta=np.empty(0, np.int64))
    lazy = [crossent.dask.cross_entropy(x, target), *crossent.dask.value_and_grad(x, target), crossent.dask.score(x, target)]
    for result in lazy:
        with pytest.raises(AssertionError, match="computed"):
            result.compute()


@pytest.mark.parametrize("bad", [CLASSES, -1])
@pytest.mark.parametrize("chunks", BLOCKS.values(), ids=BLOCKS)
def test_a_target_out_of_bounds(arrays, chunks, bad):
    logits, target = arrays
    target[45] = bad
    x = da.from_array(logits, chunks)
    for result in (crossent.dask.cross_entropy(x, target, reduction="sum"), crossent.dask.value_and_grad(x, target)[1]):
        with pytest.raises(IndexError, match=f"Target {bad} is out of bounds"):
            result.compute()
    with pytest.raises(IndexError, match=f"Target {bad} is out of bounds: row 45, {CLASSES} classes"):
        crossent.dask.score(x, target).compute()


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.uint64])
def test_targets_of_any_integer_dtype(arrays, dtype):
    logits, target = da.from_array(arrays[0], (20, 4)), arrays[0].argmax(axis=1)
    wanted = crossent.dask.cross_entropy(logits, target).compute()
    assert crossent.dask.cross_entropy(logits, target.astype(dtype)).compute() == wanted


def test_bad_arguments_are_refused_at_once(arrays):
    logits, target = arrays
    x = da.from_array(logits, (20, 4))
    for call, error, message in [
        (lambda: crossent.dask.cross_entropy(logits, target), TypeError, "expected logits as a dask array, but got ndarray"),
        (lambda: crossent.dask.cross_entropy(x[0], target), ValueError, "expected logits of shape"),
        (lambda: crossent.dask.cross_entropy(x.astype(int), target), TypeError, "dtype int64"),
        (lambda: crossent.dask.cross_entropy(x, target[:9]), ValueError, r"Expected target size \[60\], got \[9\]"),
        (lambda: crossent.dask.cross_entropy(x, logits), TypeError, "expected target dtype to be an integer"),
        (lambda: crossent.dask.cross_entropy(x, target, WEIGHT[:3]), ValueError, "weight tensor"),
        (lambda: crossent.dask.cross_entropy(x, target, reduction="max"), ValueError, "max is not a valid value"),
        (lambda: crossent.dask.cross_entropy(x[x[:, 0] > 0], target), ValueError, "compute_chunk_sizes"),
        (lambda: crossent.dask.value_and_grad(x, target, reduction="none"), ValueError, "expected reduction 'mean' or 'sum'"),
        (lambda: crossent.dask.score(x, target, top_k=0), ValueError, "top_k"),
        (lambda: crossent.dask.score(x, target, dim=-1), TypeError, "takes no dim"),
    ]:
        with pytest.raises(error, match=message):
            call()


@pytest.mark.parametrize("chunks", [BLOCKS["rows"], BLOCKS["both"]], ids=["rows", "both"])
def test_threads_give_the_same_bits(arrays, chunks):
    x = da.from_array(arrays[0], chunks)
    lazy = [*crossent.dask.value_and_grad(x, arrays[1]), crossent.dask.score(x, arrays[1])]
    alone, threaded = dask.compute(*lazy), dask.compute(*lazy, scheduler="threads", num_workers=4)
    assert alone[0] == threaded[0]
    np.testing.assert_array_equal(alone[1], threaded[1])
    assert alone[2].mean_loss == threaded[2].mean_loss


@pytest.mark.parametrize("chunks", [BLOCKS["rows"], BLOCKS["both"]], ids=["rows", "both"])
def test_processes_give_the_same_bits(arrays, client, chunks):
    x = da.from_array(arrays[0], chunks)
    lazy = [*crossent.dask.value_and_grad(x, arrays[1]), crossent.dask.score(x, arrays[1])]
    alone = dask.compute(*lazy)
    loss, gradient, result = results(client, lazy)
    assert loss == alone[0]
    np.testing.assert_array_equal(gradient, alone[1])
    assert result.mean_loss == alone[2].mean_loss


def test_an_error_of_a_worker_arrives(arrays, client):
    arrays[1][45] = CLASSES
    with pytest.raises(IndexError, match="Target 11 is out of bounds"):
        results(client, [crossent.dask.cross_entropy(da.from_array(arrays[0], (20, 4)), arrays[1])])


def test_a_worker_killed_on_the_way(arrays, client, tmp_path):
    """Its finished blocks are lost and computed again; counted twice, they would change the loss."""
    logits, target = arrays
    killed = str(tmp_path / "killed")

    def kill_once(block, block_info=None):
        if block_info[0]["chunk-location"] == (5, 1):
            try:
                os.close(os.open(killed, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return block
            os.kill(os.getpid(), signal.SIGKILL)
        return block

    def lazy(x):
        return [crossent.dask.cross_entropy(x, target), crossent.dask.score(x, target)]

    x = da.from_array(logits, (10, 4))
    loss, result = results(client, lazy(x.map_blocks(kill_once, dtype=x.dtype, meta=np.empty((0, 0)))))
    assert os.path.exists(killed)
    wanted = dask.compute(*lazy(x))
    assert (loss, result.mean_loss) == (wanted[0], wanted[1].mean_loss)


def results(client, lazy):
    return [future.result(timeout=60) for future in client.compute(lazy)]
