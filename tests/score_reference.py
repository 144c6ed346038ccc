"""What a Scorer is held against: the figures by their definitions, row by row in long double, for reading and not for speed.

Letters: x logits with the classes on the last axis, y class indices, q what the target gives each class, p = softmax(x / T).
"""

import json
import math

import numpy as np

Real = np.longdouble
BINS = 15


def sample(rows=500, classes=7, dtype=np.float64, inner=(), seed=0):
    """Logits that are right about half of the time, and targets of which one in nine is -100."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes, (rows, *inner))
    logits = rng.normal(size=(rows, classes, *inner)) * 2
    np.put_along_axis(logits, targets[:, None], np.take_along_axis(logits, targets[:, None], 1) + 2, 1)
    targets[rng.random(targets.shape) < 1 / 9] = -100
    return logits.astype(dtype), targets


def soft_sample(rows=500, classes=7, dtype=np.float64, inner=(), seed=0):
    """Logits, and probabilities that they know something of."""
    logits, _ = sample(rows, classes, np.float64, inner, seed)
    noise = np.random.default_rng(seed + 1).normal(size=logits.shape)
    q = np.exp(logits / 2 + noise)
    return logits.astype(dtype), (q / q.sum(1, keepdims=True)).astype(dtype)


def row_figures(logits, targets, weight=None, ignore_index=-100, label_smoothing=0.0, temperature=1.0):
    """Each scored row's figures, with the class axis second in the logits; rows are counted in C order."""
    classes = logits.shape[1]
    x = np.moveaxis(logits, 1, -1).reshape(-1, classes).astype(Real) / temperature
    if targets.shape == logits.shape:
        q = np.moveaxis(targets, 1, -1).reshape(-1, classes).astype(Real)
        y = q.argmax(1)
    else:
        y = targets.reshape(-1)
        x, y = x[y != ignore_index], y[y != ignore_index].astype(int)
        q = (np.arange(classes) == y[:, None]).astype(Real)
    w = np.ones(classes, Real) if weight is None else np.asarray(weight, Real)
    log_p = x - x.max(1, keepdims=True)
    log_p = log_p - np.log(np.exp(log_p).sum(1, keepdims=True))
    p, a = np.exp(log_p), w * ((1 - label_smoothing) * q + label_smoothing / classes)
    order = np.argsort(-x, axis=1, kind="stable")  # of equal logits the lower class first
    return {
        "loss": -(a * log_p).sum(1),
        "target": y,
        "predicted": x.argmax(1),
        "rank": (order == y[:, None]).argmax(1),
        "confidence": p.max(1),
        "entropy": -(p * log_p).sum(1),
        "brier": ((p - q) ** 2).sum(1),
        "mass": a.sum(1),
        "weight": np.ones(len(y), Real) if targets.shape == logits.shape else w[y],  # what a mean loss divides by
        "ignored": targets.size - len(y) if targets.shape != logits.shape else 0,
        "classes": classes,
    }


def figures(rows, top_k=5):
    """The figures of a Score, named as in ``to_dict``."""
    n, y, loss, weight, confidence = len(rows["rank"]), rows["target"], rows["loss"], rows["weight"], rows["confidence"]
    right, norm = rows["rank"] == 0, weight.sum()
    mean = loss.sum() / norm
    bins = [(confidence > b / BINS) & (confidence <= (b + 1) / BINS) for b in range(BINS)]
    of_class = [y == c for c in range(rows["classes"])]
    return {
        "rows": n,
        "ignored": rows["ignored"],
        "mean_loss": mean,
        "sum_loss": loss.sum(),
        "standard_error": math.sqrt(n / (n - 1) * ((loss - mean * weight) ** 2).sum()) / norm,
        "standard_deviation": loss.std(ddof=1),
        "perplexity": math.exp(mean),
        "bits": mean / math.log(2),
        "entropy": (rows["mass"] * rows["entropy"]).sum() / norm,
        "accuracy": right.mean(),
        "top_accuracy": [(rows["rank"] < k).mean() for k in range(1, min(top_k, rows["classes"]) + 1)],
        "brier": rows["brier"].mean(),
        "ece": sum(abs((confidence[b] - right[b]).sum()) for b in bins) / n,
        "per_class": {
            "rows": [int(c.sum()) for c in of_class],
            "mean_loss": [loss[c].sum() / weight[c].sum() if c.any() else None for c in of_class],
            "accuracy": [right[c].mean() if c.any() else None for c in of_class],
        },
    }


def bits(score, positions=False):
    """All figures of a Score, in a form that is equal where every bit is; with the loss over position, if asked."""
    figures = vars(score) | (score.positions._asdict() if positions else {})
    del figures["positions"]
    return json.dumps({name: None if value is None else np.asarray(value).tolist() for name, value in figures.items()})
