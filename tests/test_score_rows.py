"""score_rows: each row's figures against their definitions in long double, and its loss against cross_entropy's bits."""

import numpy as np
import pytest

import crossent
import crossent.nn.functional as F
from crossent.scoring import rows as rows_module
from score_reference import row_figures, sample, soft_sample

ULP = {"confidence": 2, "entropy": 4, "brier": 4}  # what the documentation says
# the row loop and its blocks, lanes across rows, and planes; a row that threads share
SHAPES = {
    "few": (37, 10),
    "one": (5, 1),
    "rows": (6, 300),
    "blocks": (3, 9000),
    "planes": (3, 21, 50),
    "long planes": (1, 300, 7),
}
WEIGHT = np.linspace(0.5, 2, 300)


def with_shape(shape, dtype, make=sample):
    return make(shape[0], shape[1], dtype, shape[2:])


def assert_same_rows(got, expected):
    for name in expected._fields:
        np.testing.assert_array_equal(getattr(got, name), getattr(expected, name), strict=True, err_msg=name)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("whole", [False, True], ids=["all different", "many equal"])
def test_rows_are_those_of_their_definitions(isa, dtype, shape, whole):
    logits, targets = with_shape(shape, dtype)
    logits = np.floor(logits) if whole else logits
    scored = targets.reshape(-1) != -100
    expected, got = row_figures(logits, targets), crossent.score_rows(logits, targets)
    for name in ("target", "predicted", "rank"):
        np.testing.assert_array_equal(getattr(got, name).reshape(-1)[scored], expected[name])
    np.testing.assert_array_equal(got.correct.reshape(-1)[scored], expected["predicted"] == expected["target"])
    for name, ulp in ULP.items():
        values = getattr(got, name).reshape(-1)[scored]
        np.testing.assert_allclose(values, expected[name].astype(float), rtol=ulp * np.finfo(dtype).eps, atol=1e-17)
    assert (got.mass.reshape(-1)[scored] == 1).all()


@pytest.mark.parametrize("classes", [4, 300])
@pytest.mark.parametrize("trailing", [(), (5,)], ids=["rows", "planes"])
@pytest.mark.parametrize("target", [1, 2])
def test_logits_far_below_a_large_one_keep_their_order(isa, dtype, classes, trailing, target):
    """Measured from 5000 the two are equal; one is larger all the same."""
    logits = np.full((1, classes), -1.0, dtype)
    logits[0, :3] = 5000, 0.1, np.nextafter(dtype.type(0.1), dtype.type(1))
    logits = np.broadcast_to(logits.reshape(1, classes, *[1] * len(trailing)), (1, classes, *trailing)).copy()
    scored = crossent.score_rows(logits, np.full((1, *trailing), target))
    assert (scored.predicted == 0).all()
    assert (scored.rank == 3 - target).all()


OPTIONS = {
    "plain": {},
    "weight": {"weight": WEIGHT},
    "smoothing": {"label_smoothing": 0.1},
    "both": {"weight": WEIGHT, "label_smoothing": 0.1},
    "ignored class": {"ignore_index": 2},
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("make", [sample, soft_sample], ids=["indices", "probabilities"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_loss_has_the_bits_of_cross_entropy(dtype, shape, make, options, monkeypatch):
    logits, targets = with_shape(shape, dtype, make)
    options = {name: np.resize(value, shape[1]) if name == "weight" else value for name, value in options.items()}
    if make is soft_sample and options.pop("ignore_index", 0):
        pytest.skip("probabilities ignore nothing")
    if "ignore_index" in options:
        targets = np.where(targets == -100, 0, targets)
    for block_bytes in (1, 4 << 20):
        monkeypatch.setattr(rows_module, "BLOCK_BYTES", block_bytes)
        losses = crossent.score_rows(logits, targets, **options).loss
        np.testing.assert_array_equal(losses, F.cross_entropy(logits, targets, reduction="none", **options), strict=True)


@pytest.mark.parametrize("dim", [0, 1, 2, -1])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_class_axis_may_be_any(dtype, dim, smoothing):
    logits, targets = sample(40, 300, dtype, (3,))
    moved = np.moveaxis(logits, 1, dim)
    got = crossent.score_rows(moved, targets, dim=dim, label_smoothing=smoothing)
    losses = F.cross_entropy(moved, targets, dim=dim, label_smoothing=smoothing, reduction="none")
    np.testing.assert_array_equal(got.loss, losses)
    expected = crossent.score_rows(logits, targets, label_smoothing=smoothing)
    np.testing.assert_array_equal(got.rank, expected.rank)
    np.testing.assert_array_equal(got.predicted, expected.predicted)
    for name in ULP:
        np.testing.assert_allclose(getattr(got, name), getattr(expected, name), rtol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_16_bits_are_scored_as_their_float32_copy(half, shape, smoothing):
    logits, targets = with_shape(shape, np.float32)
    low = logits.astype(half)
    got = crossent.score_rows(low, targets, label_smoothing=smoothing)
    assert_same_rows(got, crossent.score_rows(low.astype(np.float32), targets, label_smoothing=smoothing))
    rounded = F.cross_entropy(low, targets, label_smoothing=smoothing, reduction="none")
    np.testing.assert_array_equal(got.loss.astype(half).astype(float), rounded.astype(float))


def test_16_bits_of_probabilities(half):
    logits, q = soft_sample(dtype=np.float32)
    low, low_q = logits.astype(half), q.astype(half)
    assert_same_rows(crossent.score_rows(low, low_q), crossent.score_rows(low.astype(np.float32), low_q.astype(np.float32)))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("threads", [1, 2, 7])
def test_rows_depend_neither_on_threads_nor_on_the_batch(dtype, shape, threads):
    logits, targets = with_shape(shape, dtype)
    with crossent.num_threads(1):
        expected = crossent.score_rows(logits, targets)
    with crossent.num_threads(threads):
        assert_same_rows(crossent.score_rows(logits, targets), expected)
        for i in range(min(3, len(logits))):
            alone = crossent.score_rows(logits[i : i + 1], targets[i : i + 1])
            assert_same_rows(alone, expected._make(a[i : i + 1] for a in expected))


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_rows_against_probabilities(dtype, label_smoothing, weighted):
    logits, q = soft_sample(dtype=dtype)
    weight = np.linspace(0.5, 2, 7) if weighted else None
    expected = row_figures(logits, q, weight, label_smoothing=label_smoothing)
    got = crossent.score_rows(logits, q, weight=weight, label_smoothing=label_smoothing)
    for name in ("target", "predicted", "rank"):
        np.testing.assert_array_equal(getattr(got, name), expected[name])
    for name in ("loss", "confidence", "entropy", "brier", "mass"):
        # the Brier score is a sum of squares of differences, each within an ULP of 1
        atol = np.finfo(dtype).eps if name == "brier" else 0
        np.testing.assert_allclose(getattr(got, name), expected[name].astype(float), rtol=16 * np.finfo(dtype).eps, atol=atol)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_mass_is_what_the_target_weighs(label_smoothing):
    logits, targets = sample()
    weight = np.linspace(0.5, 2, 7)
    got = crossent.score_rows(logits, targets, weight=weight, label_smoothing=label_smoothing)
    expected = row_figures(logits, targets, weight, label_smoothing=label_smoothing)["mass"].astype(float)
    np.testing.assert_allclose(got.mass[targets != -100], expected, rtol=1e-15)
    assert (got.mass[targets == -100] == 0).all()


@pytest.mark.parametrize("temperature", [0.25, 3, 17.3])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("make", [sample, soft_sample], ids=["indices", "probabilities"])
def test_temperature_multiplies_by_its_inverse(any_dtype, temperature, shape, make):
    logits, targets = with_shape(shape, any_dtype, make)
    real = np.dtype(np.float64 if any_dtype == np.float64 else np.float32)
    scaled = logits.astype(real) * real.type(1 / temperature)
    got, expected = crossent.score_rows(logits, targets, temperature=temperature), crossent.score_rows(scaled, targets)
    assert_same_rows(got, expected)


LAYOUTS = {
    "strided": lambda x: np.repeat(x, 2, axis=0)[::2],
    "reversed": lambda x: np.ascontiguousarray(x[::-1])[::-1],
    "Fortran": np.asfortranarray,
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "read-only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("temperature", [1, 3])
@pytest.mark.parametrize("make", [sample, soft_sample], ids=["indices", "probabilities"])
def test_any_layout_scores_as_its_plain_copy(dtype, layout, temperature, make):
    for shape in SHAPES.values():
        logits, targets = with_shape(shape, dtype, make)
        x, t = LAYOUTS[layout](logits), LAYOUTS[layout](targets)
        got = crossent.score_rows(x, t, temperature=temperature)
        assert_same_rows(got, crossent.score_rows(logits, targets, temperature=temperature))


def test_ignored_rows_are_not_looked_at():
    logits, targets = sample(inner=(3,))
    logits[np.broadcast_to((targets == -100)[:, None], logits.shape)] = np.nan
    for smoothing in (0.0, 0.1):
        got = crossent.score_rows(logits, targets, label_smoothing=smoothing)
        values = {name: np.unique(getattr(got, name)[targets == -100]).tolist() for name in got._fields}
        ignored = {"target": [-100], "predicted": [-1], "rank": [-1]}
        assert values == {name: ignored.get(name, [0.0]) for name in got._fields}
        assert np.isfinite(got.loss).all()


WITHOUT_SOFTMAX = {"nan": np.nan, "inf": np.inf}


@pytest.mark.parametrize("value", WITHOUT_SOFTMAX.values(), ids=WITHOUT_SOFTMAX)
@pytest.mark.parametrize("at_target", [False, True])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_row_without_a_softmax_is_wrong(dtype, value, at_target, shape):
    logits, targets = with_shape(shape, dtype)
    targets = np.where(targets == -100, 0, targets)
    before = crossent.score_rows(logits, targets)
    broken = (0,) + (0,) * len(shape[2:])
    c = targets[broken] if at_target else (targets[broken] + 1) % shape[1]
    logits[(0, c, *broken[1:])] = value
    got = crossent.score_rows(logits, targets)
    assert (got.predicted[broken], got.rank[broken]) == (-1, shape[1])
    assert not got.correct[broken]
    assert np.isnan([got.confidence[broken], got.entropy[broken], got.brier[broken]]).all()
    others = np.ones(targets.shape, bool)
    others[broken] = False
    assert_same_rows(got._make(a[others] for a in got), before._make(a[others] for a in before))


def test_nothing_but_minus_infinity_has_no_softmax():
    for classes in (4, 300, 9000):
        got = crossent.score_rows(np.full((1, classes), -np.inf, np.float32), np.array([0]))
        assert (got.predicted[0], got.rank[0]) == (-1, classes)
        assert np.isnan(got.entropy[0])


@pytest.mark.parametrize("classes", [4, 300, 9000])
def test_logits_of_minus_infinity_have_no_probability(dtype, classes):
    """A mask over all but the last two classes, whole blocks of a row among them."""
    logits = np.full((2, classes), -np.inf, dtype)
    logits[:, -2:] = [[1, 0], [0, 0]]
    got = crossent.score_rows(logits, np.array([classes - 2, 1]))
    p = 1 / (1 + np.exp(-1.0))
    entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p))
    assert got.predicted.tolist() == [classes - 2] * 2
    assert got.rank.tolist() == [0, 3]  # behind two logits that are larger, and one that is equal
    np.testing.assert_allclose(got.entropy, [entropy, np.log(2)], rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_allclose(got.brier, [2 * (1 - p) ** 2, 1.5], rtol=4 * np.finfo(dtype).eps)
    assert got.loss[1] == np.inf


@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 5), (4, 3, 0), (4, 0)], ids=str)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_no_elements(shape, smoothing):
    targets = np.full(shape[:1] + shape[2:], -100)
    got = crossent.score_rows(np.zeros(shape, np.float32), targets, label_smoothing=smoothing)
    assert all(a.shape == targets.shape for a in got)
    assert (got.rank == -1).all()
    assert (got.loss == 0).all()


def test_one_row_without_a_batch():
    for target in (np.array(1), np.array([1]), np.array([0.2, 0.5, 0.3])):
        for smoothing in (0.0, 0.1):
            got = crossent.score_rows(np.array([1.0, 3.0, 2.0]), target, label_smoothing=smoothing)
            assert got.loss.shape == got.rank.shape == ()
            assert (got.target, got.predicted, got.rank) == (1, 1, 0)


def test_the_targets_are_a_copy():
    logits, targets = sample()
    got = crossent.score_rows(logits, targets)
    assert not np.may_share_memory(got.target, targets)


@pytest.mark.parametrize(
    ("temperature", "error", "message"),
    [
        (0, ValueError, "finite number above 0. Got: 0"),
        (-1.0, ValueError, "Got: -1.0"),
        (np.inf, ValueError, "Got: inf"),
        (np.nan, ValueError, "Got: nan"),
        ("1", TypeError, "must be a number, not str"),
    ],
)
def test_bad_temperatures(temperature, error, message):
    with pytest.raises(error, match=message):
        crossent.score_rows(np.zeros((2, 3)), np.zeros(2, int), temperature=temperature)
