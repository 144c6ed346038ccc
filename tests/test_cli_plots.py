"""Pictures: ``crossent score --plot`` and ``crossent plot``, which draws the same from a result in JSON."""

import itertools
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from command import leftovers, run, score
from crossent.scoring import record
from crossent.scoring.run import Job, score_files

pytest.importorskip("matplotlib")


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf", "PNG"])
def test_plot(data, suffix):
    assert score("--plot", f"report.{suffix}") == 0
    first = Path(f"report.{suffix}").read_bytes()
    assert first.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[suffix.lower()])
    assert score("--plot", f"report.{suffix}") == 0
    assert Path(f"report.{suffix}").read_bytes() == first
    assert leftovers(data) == [f"report.{suffix}"]


def test_the_style_is_its_own_and_stays_there(data):
    import matplotlib

    score("--plot", "report.svg")
    before = Path("report.svg").read_bytes()
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "lines.linewidth": 9}):
        settings = dict(matplotlib.rcParams)
        assert score("--plot", "report.svg") == 0
        assert dict(matplotlib.rcParams) == settings
    assert Path("report.svg").read_bytes() == before


# ---- what is drawn is what was counted -------------------------------------------------------------------------------


def report(*names, **options):
    """A Run, its Figure, and the Axes of the figure by their labels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from crossent.scoring.plots import draw

    result = score_files(Job(*([name] for name in names or ("logits.npy", "labels.npy")), **options))
    figure = draw(result)
    FigureCanvasAgg(figure).draw()
    axes = {panel.get_xlabel().split(";")[0].split(",")[0]: panel for panel in figure.get_axes()}
    return result, figure, axes


def heights(axes):
    return [bar.get_height() for bar in axes.patches]


def widths(axes):
    return [bar.get_width() for bar in axes.patches]


def texts(figure):
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]


def test_titles_say_what_was_scored(data):
    np.save("w.npy", np.ones(5, np.float32))
    result, figure, _ = report(weight="w.npy", label_smoothing=0.1)
    assert figure.get_suptitle() == "logits.npy against labels.npy"
    summary = figure.subfigs[0].get_suptitle()
    assert summary.startswith("199 rows (1 more ignored), 5 classes, class weights, label smoothing 0.1: mean loss")
    assert f"accuracy {100 * result.score.accuracy:.2f} %" in summary


def test_histograms_and_reliability_are_those_of_the_score(data):
    result, figure, axes = report()
    score = result.score
    assert heights(axes["loss in nats"]) == score.loss_rows.tolist()
    assert heights(axes["confidence of the prediction"]) == score.bin_rows.tolist()
    assert f"ECE {100 * score.ece:.2f} % in 15 bins" in axes["confidence of the prediction"].get_xlabel()
    (reliability,) = (panel for panel in figure.get_axes() if panel.get_ylabel() == "accuracy")
    np.testing.assert_array_equal(heights(reliability), score.bin_accuracy)
    intervals, confidence = reliability.collections
    used = score.bin_rows > 0
    drawn = [line[0, 1] for line in confidence.get_segments() if len(line)]
    np.testing.assert_allclose(drawn, score.bin_confidence[used], rtol=1e-12)
    for line, accuracy in zip(intervals.get_segments(), score.bin_accuracy[used], strict=True):
        assert line[0, 1] - 1e-9 <= accuracy <= line[1, 1] + 1e-9


def test_a_few_tiny_losses_are_counted_and_not_shown(data):
    logits = np.zeros((1000, 2), np.float32)
    logits[:3, 0] = 14, 15, 16  # losses about e^-14 to e^-16
    np.save("logits.npy", logits)
    np.save("labels.npy", np.zeros(1000, int))
    _, _, axes = report()
    losses = axes["loss in nats"]
    assert losses.get_xlabel() == "loss in nats, in tenths of a decade; 3 rows below"
    left, right = losses.get_xlim()
    assert np.exp(-14) < left < np.log(2) / 10 < np.log(2) < right
    assert sum(heights(losses)) == 1000


def test_bars_and_their_figures_are_those_of_the_score(data):
    result, figure, axes = report()
    score = result.score
    assert widths(axes["mean loss in nats"]) == sorted(score.class_loss, reverse=True)
    names = [label.get_text() for label in axes["mean loss in nats"].get_yticklabels()]
    assert names == [str(c) for c in score.worst_classes(5)]
    assert widths(axes["rows"]) == score.confusions[:12, 2].tolist()
    pairs = [label.get_text() for label in axes["rows"].get_yticklabels()]
    assert pairs == [f"{true} → {predicted}" for true, predicted, _ in score.confusions[:12]]
    true, predicted, rows = score.confusions[0]
    share = f"{100 * rows / score.class_rows[true]:.2f} %"
    assert {share, f"Most confused: {true} taken for {predicted}, {rows} of {score.class_rows[true]} times"} <= {*texts(figure)}


def test_rare_classes_are_one_bar(data):
    rng = np.random.default_rng(0)
    labels = np.concatenate([np.repeat(np.arange(12), 20), np.arange(12, 40)])
    logits = rng.normal(size=(len(labels), 50)).astype(np.float32)
    logits[np.arange(240), labels[:240]] += 4
    np.save("logits.npy", logits)
    np.save("labels.npy", labels)
    result, figure, axes = report()
    *common, rare = widths(axes["mean loss in nats"])
    assert common == sorted(result.score.class_loss[:12], reverse=True)[:11]
    assert rare == pytest.approx(result.score.class_loss[12:40].mean())
    assert axes["mean loss in nats"].get_yticklabels()[-1].get_text() == "28 with fewer"
    assert "mean loss in nats; worst 11 of 50 classes with 10 rows or more" in texts(figure)
    assert any(text.startswith("Worst are the rare classes") for text in texts(figure))


@pytest.mark.parametrize(("rows", "together"), [(120, 16), (640, 32), (6000, 64)])
def test_the_line_over_position_is_of_means(data, rows, together):
    rng = np.random.default_rng(0)
    logits = (rng.normal(size=(rows, 4)) + np.linspace(0, 3, rows)[:, None] * np.eye(4)[0]).astype(np.float32)
    np.save("logits.npy", logits)
    np.save("labels.npy", np.zeros(rows, int))
    result, figure, axes = report()
    loss = -np.log(np.exp(logits[:, 0]) / np.exp(logits).sum(1))
    profile = axes["row"]
    values, edges, _ = profile.patches[0].get_data()
    assert edges[1] == together
    means = [part.mean() for part in np.split(loss, edges[1:-1])]
    np.testing.assert_allclose(values, means, rtol=1e-6)
    assert profile.get_xlim() == (0, rows)
    assert result.score.positions.rows.sum() == rows
    assert any(text.startswith("Highest at ") for text in texts(figure))


def test_the_map_over_position_is_of_means(data):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(50, 3, 8, 130)).astype(np.float32)
    logits[:, :, 2, 64:68] *= 9
    labels = rng.integers(0, 3, (50, 8, 130))
    labels[:, :, 100:] = -100
    np.save("logits.npy", logits)
    np.save("labels.npy", labels)
    result, figure, axes = report()
    (image,) = axes["position along d2"].get_images()
    np.testing.assert_array_equal(image.get_array(), result.score.positions.mean_loss)
    assert axes["position along d2"].get_xlim() == (0, 130)
    assert axes["position along d2"].get_ylim() == (8, 0)
    assert "Highest at (2, 67): " in "".join(texts(figure))  # where logits are large and know nothing


def test_context_and_sequences_name_their_positions(data):
    assert "row of each 50" in report(context=50)[2]
    np.save("logits.npy", np.zeros((3, 40, 7)))
    np.save("labels.npy", np.zeros((3, 40), int))
    assert "position along d1" in report(dim=-1)[2]


# ---- nothing is clipped, nothing overlaps ----------------------------------------------------------------------------

RNG = np.random.default_rng(0)
CURIOUS = {
    "ten classes": (RNG.normal(size=(3000, 10)).astype(np.float32) * 3, RNG.integers(0, 10, 3000)),
    "many classes": (RNG.normal(size=(300, 50000)).astype(np.float16), np.arange(300) * 11),
    "all ignored": (np.zeros((5, 3)), np.full(5, -100)),
    "one row": (np.zeros((1, 3)), np.zeros(1, int)),
    "one class": (np.zeros((9, 1)), np.zeros(9, int)),
    "infinite": (np.array([[0, -np.inf]] * 90), np.arange(90) % 2),
    "all infinite": (np.array([[0, -np.inf]] * 90), np.ones(90, int)),
    "perfect": (np.array([[0, 999.0]] * 90), np.ones(90, int)),
    "all wrong": (np.array([[999.0, 0]] * 90), np.ones(90, int)),
    "uneven": (np.concatenate([np.zeros((9999, 2)), np.ones((1, 2)) * [0, 5]]), np.zeros(10000, int)),
    "millions": (RNG.normal(size=(1, 2, 1100, 1000)).astype(np.float16), RNG.integers(0, 2, (1, 1100, 1000))),
    "narrow": (RNG.normal(size=(9, 3, 900, 2)).astype(np.float32), RNG.integers(0, 3, (9, 900, 2))),
}


@pytest.mark.parametrize("case", ["all ignored", "all infinite"])
def test_results_without_figures_are_drawn_too(data, case, capsys):
    np.save("logits.npy", CURIOUS[case][0])
    np.save("labels.npy", CURIOUS[case][1])
    assert score("--plot", "report.png", "--format", "json") == 0, capsys.readouterr().err
    assert os.path.getsize("report.png") > 10000
    Path("result.json").write_text(capsys.readouterr().out)
    assert run("plot", "result.json", "again.png") == 0, capsys.readouterr().err
    assert os.path.getsize("again.png") > 10000


NAMES = [
    "a name of a class that goes on and on (%d)",
    "$\\alpha_%d^{",
    "你好%d",
    "tab\tname %d",
    "née %d",
    "WWWWWWWWWWWWWWWWWWWWWWWW%d",
]


@pytest.mark.parametrize(("case", "names"), [("many classes", False), *((case, True) for case in CURIOUS)])
def test_texts_are_on_the_page_and_apart(data, case, names, monkeypatch):
    from matplotlib.text import Text

    logits, labels = CURIOUS[case]
    np.save("a-rather-long-name-of-a-file-with-logits-of-a-model.npy", logits)
    np.save("labels.npy", labels)
    Path("names.txt").write_text("".join(NAMES[c % len(NAMES)] % c + "\n" for c in range(logits.shape[1])))
    _, figure, _ = report(
        "a-rather-long-name-of-a-file-with-logits-of-a-model.npy", "labels.npy", class_names="names.txt" if names else None
    )
    drawn, draw = [], Text.draw
    monkeypatch.setattr(Text, "draw", lambda self, renderer: (drawn.append(self), draw(self, renderer)))
    figure.canvas.draw()
    boxes = {text: text.get_window_extent() for text in drawn if text.get_visible() and text.get_text().strip()}
    assert len(boxes) > 10
    for text, box in boxes.items():
        inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.width and box.y1 <= figure.bbox.height
        assert inside, f"{text.get_text()!r} is clipped"
    for (one, a), (other, b) in itertools.combinations(boxes.items(), 2):
        apart = min(a.x1, b.x1) - max(a.x0, b.x0) < -3 or min(a.y1, b.y1) - max(a.y0, b.y0) < 1  # pixels, of 150 on an inch
        assert apart, f"{one.get_text()!r} and {other.get_text()!r} overlap"


# ---- crossent plot ---------------------------------------------------------------------------------------------------


@pytest.fixture
def result(data, capsys):
    """result.json, the output of ``crossent score --plot score.svg --format json`` for two files of logits."""
    for number, part in enumerate(np.split(np.load("logits.npy"), [120])):
        np.save(f"x-{number}.npy", part)
    names = ["x-0.npy", "x-1.npy", "--targets", "labels.npy"]
    assert run("score", *names, "--label-smoothing", "0.1", "--plot", "score.svg", "--format", "json") == 0
    Path("result.json").write_text(capsys.readouterr().out)


def test_plot_of_a_result_is_that_of_score(result):
    assert run("plot", "result.json", "plot.svg") == 0
    assert Path("plot.svg").read_bytes() == Path("score.svg").read_bytes()
    assert "x-0.npy and 1 more against labels.npy" in Path("plot.svg").read_text()


def test_a_result_is_read_as_it_was_written(result):
    run_again = record.read("result.json")
    assert record.json_text(record.members(run_again)) == Path("result.json").read_text()


def test_errors(result, capsys):
    text = Path("result.json").read_text()
    members = json.loads(text)
    Path("big.json").write_bytes(b"")
    os.truncate("big.json", (64 << 20) + 1)
    for name, content, status, message in (
        ("a.json", text[: len(text) // 2], 3, "a.json: not a result of crossent score --format json: .*"),
        ("a.json", "[" * 100_000, 3, "a.json: not a result of crossent score --format json: .*"),
        ("a.json", "{}", 3, "a.json: not a result of crossent score --format json: 'logits'"),
        ("a.json", json.dumps(members | {"per_class": [1]}), 3, "a.json: not a result of crossent score --format json: .*"),
        ("a.json", json.dumps(members | {"loss_histogram": {"edges": [1, 2], "rows": [1, 2]}}), 3, r"a.json: .* one length .*"),
        (
            "a.json",
            json.dumps(members | {"positions": {"width": [1], "rows": [[1]], "mean_loss": [1]}}),
            3,
            "a.json: not .*shape.*",
        ),
        ("a.json", json.dumps(members | {"shape": [200]}), 3, "a.json: cannot be drawn: .*"),
        ("a.json", json.dumps(members | {"confusions": [[7, 9, 1]]}), 3, "a.json: cannot be drawn: .*"),
        ("big.json", None, 3, "big.json: not a result .*: expected at most 67108864 bytes, but got 67108865"),
        ("missing.json", None, 1, "missing.json: No such file or directory"),
    ):
        if content is not None:
            Path(name).write_text(content)
        assert run("plot", name, "plot.png") == status
        assert re.fullmatch(f"crossent plot: error: {message}\n", capsys.readouterr().err)
    for picture, message in (
        ("plot.txt", "plot.txt: expected a name that ends in .png, .svg, .pdf"),
        ("link.png", "link.png: is an input, and would be overwritten"),
    ):
        if not os.path.lexists("link.png"):
            os.symlink("result.json", "link.png")
        assert run("plot", "result.json", picture) == 2
        assert capsys.readouterr().err == f"crossent plot: error: {message}\n"
    assert not os.path.exists("plot.png")


def test_every_prefix_of_a_result_is_refused(result, capsys):
    text = Path("result.json").read_bytes()
    for length in range(0, len(text) - 2, 97):
        Path("part.json").write_bytes(text[:length])
        assert run("plot", "part.json", "plot.png") == 3
