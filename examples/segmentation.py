"""Score a segmentation, logits of shape (N, C, H, W), with ignored pixels and class weights, and draw where it goes wrong.

    python examples/segmentation.py demo-seg             some 20 seconds: 24 images of 384 x 768 pixels, 8 classes, 113 MB
    python examples/segmentation.py demo-seg --images 2 --height 96       the same in seconds

The streets are made up: sky, houses, trees, road, pavement, cars, people and poles. As in Cityscapes, the strip at the bottom,
which is the camera's own car, is ignored; as in Pascal VOC, so are the pixels where two classes meet. The logits are those of a
model that sees everything a little blurred, and takes people for poles and pavement for road now and then. Two pictures
come out: report.png, of all images, and worst.png, a map of the losses of the worst image.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

CLASSES = ["sky", "building", "vegetation", "road", "pavement", "car", "person", "pole"]
SKY, BUILDING, VEGETATION, ROAD, PAVEMENT, CAR, PERSON, POLE = range(len(CLASSES))
IGNORED = 255


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("demo-seg"), help="where the files go (demo-seg)")
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--height", type=int, default=384, help="of an image, in pixels; it is twice as wide")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    write_data(options.folder, options.images, (options.height, 2 * options.height))

    # What you would type. Each pixel is a row; the report has a map of the mean loss over all images.
    command = ["score", "logits.npy", "labels.npy", "--ignore-index", IGNORED, "--weight", "weights.npy"]
    command += ["--class-names", "classes.txt", "--worst", len(CLASSES), "--output", "losses.npy", "--plot", "report.png"]
    print("crossent", *command, end="\n\n", flush=True)
    subprocess.run([sys.executable, "-m", "crossent", *map(str, command)], check=True, cwd=options.folder)

    draw_worst(options.folder)
    print(f"\n{options.folder / 'report.png'} and {options.folder / 'worst.png'} show it")


def write_data(folder: Path, images: int, shape: tuple[int, int]) -> None:
    """Make logits.npy (N, C, H, W), labels.npy (N, H, W), weights.npy (C) and classes.txt."""
    rng = np.random.default_rng(seed=0)
    labels = np.empty((images, *shape), np.uint8)
    logits = np.lib.format.open_memmap(folder / "logits.npy", "w+", np.float16, (images, len(CLASSES), *shape))
    for image in range(images):
        street = made_up_street(shape, rng)
        logits[image] = model(street, rng)
        labels[image] = with_ignored_pixels(street)
    logits.flush()
    np.save(folder / "labels.npy", labels)

    # Rare classes count more: 1 / ln(1.02 + p), as in "ENet: a deep neural network architecture for real-time semantic
    # segmentation", Paszke et al., 2016.
    parts = np.bincount(labels[labels != IGNORED], minlength=len(CLASSES)) / np.count_nonzero(labels != IGNORED)
    np.save(folder / "weights.npy", (1 / np.log(1.02 + parts)).astype(np.float32))
    (folder / "classes.txt").write_text("\n".join(CLASSES) + "\n")


def made_up_street(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """The class of each pixel of a street."""
    height, width = shape
    y, x = np.mgrid[:height, :width] / height  # 0 to 1 down, 0 to 2 to the right
    horizon, middle = rng.uniform(0.4, 0.5), rng.uniform(0.8, 1.2)
    street = np.full(shape, SKY, np.uint8)
    for left in np.arange(0, 2, 0.25):
        street[(x >= left) & (x < left + 0.25) & (y > rng.uniform(0.05, horizon))] = BUILDING
    for _ in range(rng.integers(2, 6)):
        at, size = rng.uniform(0, 2), rng.uniform(0.08, 0.18)
        street[(x - at) ** 2 + (y - horizon + size) ** 2 < size**2] = VEGETATION
    street[y > horizon] = PAVEMENT
    street[(y > horizon) & (abs(x - middle) < 0.1 + 1.2 * (y - horizon))] = ROAD
    for kind, most, wide, high in ((POLE, 5, 0.012, 0.35), (CAR, 5, 0.22, 0.12), (PERSON, 6, 0.03, 0.14)):
        for _ in range(rng.integers(1, most)):
            at, foot = rng.uniform(0, 2), rng.uniform(horizon + 0.02, 0.9)
            near = 0.4 + 1.6 * (foot - horizon)  # what is nearer is larger
            street[(abs(x - at) < wide * near / 2) & (y < foot) & (y > foot - high * near)] = kind
    return street


def with_ignored_pixels(street: np.ndarray) -> np.ndarray:
    """The labels of a street: without the strip at the bottom and the pixels where two classes meet."""
    labels = street.copy()
    down, right = street[1:] != street[:-1], street[:, 1:] != street[:, :-1]
    labels[1:][down] = labels[:-1][down] = IGNORED
    labels[:, 1:][right] = labels[:, :-1][right] = IGNORED
    labels[-(len(labels) // 12) :] = IGNORED
    return labels


def model(street: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The logits of a model that sees a street blurred and confuses some classes."""
    confusion = 0.97 * np.eye(len(CLASSES)) + 0.03 / len(CLASSES)
    confusion[PERSON, POLE] += 0.25
    confusion[PAVEMENT, ROAD] += 0.2
    radius = max(1, len(street) // 96)
    seen = np.array([blurred(street == c, radius) for c in range(len(CLASSES))])
    doubt = np.array([blurred(rng.normal(size=street.shape), 2 * radius) for _ in CLASSES]) * 4 * radius
    likely = np.einsum("chw,cd->dhw", seen, confusion / confusion.sum(axis=1, keepdims=True))
    return 1.5 * (np.log(likely + 1e-3) + 0.8 * doubt)


def blurred(image: np.ndarray, radius: int) -> np.ndarray:
    """Each pixel's mean over the square around it."""
    size = 2 * radius + 1
    sums = np.pad(image.astype(np.float64), radius, mode="edge")
    for axis in (0, 1):
        sums = np.cumsum(np.insert(sums, 0, 0, axis), axis)
        sums = np.take(sums, range(size, sums.shape[axis]), axis) - np.take(sums, range(sums.shape[axis] - size), axis)
    return sums / size**2


def draw_worst(folder: Path) -> None:
    """A picture of the image of the largest mean loss: its classes, what the model says, and the loss of each pixel."""
    labels, losses = (np.load(folder / name, mmap_mode="r") for name in ("labels.npy", "losses.npy"))
    scored = labels != IGNORED
    worst = int((losses.sum((1, 2)) / scored.sum((1, 2))).argmax())
    predicted = np.load(folder / "logits.npy", mmap_mode="r")[worst].argmax(0)
    colours = matplotlib.colormaps["tab10"].resampled(len(CLASSES))

    figure = Figure(figsize=(9, 11), layout="constrained")
    truth, said, loss = figure.subplots(3, 1)
    of_classes = {"cmap": colours, "vmin": -0.5, "vmax": len(CLASSES) - 0.5, "interpolation": "nearest"}
    truth.set_title(f"Image {worst}: the classes, without ignored pixels")
    truth.imshow(np.ma.array(labels[worst], mask=~scored[worst]), **of_classes)
    said.set_title("What the model says")
    image = said.imshow(predicted, **of_classes)
    bar = figure.colorbar(image, ax=[truth, said], ticks=range(len(CLASSES)))
    bar.ax.set_yticklabels(CLASSES)
    loss.set_title("What it loses, in nats, class weights included")
    norm = LogNorm(0.1, losses[worst].max())
    image = loss.imshow(
        np.ma.array(losses[worst].clip(0.1), mask=~scored[worst]), cmap="magma", norm=norm, interpolation="nearest"
    )
    figure.colorbar(image, ax=loss)
    for axes in (truth, said, loss):
        axes.set_axis_off()
    figure.savefig(folder / "worst.png", dpi=110)


if __name__ == "__main__":
    main()
