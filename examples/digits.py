"""Train a softmax regression on handwritten digits, with crossent and NumPy alone.

    python examples/digits.py demo            trains, and writes demo/logits.npy and demo/labels.npy
    crossent score demo/logits.npy demo/labels.npy --plot demo/report.png

The model is logits = images @ W + b, for images of 8 x 8 pixels and the digits 0 to 9. scikit-learn is here for its data.
"""

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import crossent
import crossent.nn.functional as F

STEPS = 2000
LEARNING_RATE = 1.0
WANTED_ACCURACY = 0.95

# The data: 1797 images with pixels from 0 to 16, in an order that is random and always the same; a quarter is held out.
images, labels = load_digits(return_X_y=True)
order = np.random.default_rng(seed=0).permutation(len(labels))
images = (images[order] / 16).astype(np.float32)
labels = labels[order]
train, test = slice(450, None), slice(450)

# The model. Zeros will do: the loss of a softmax regression is convex.
W = np.zeros((64, 10), np.float32)
b = np.zeros(10, np.float32)

# One pass over the logits gives the mean loss and its gradient by them. The rest is the chain rule by hand.
loss_and_gradient = crossent.value_and_grad(F.cross_entropy)
for step in range(STEPS + 1):
    logits = images[train] @ W + b
    loss, dlogits = loss_and_gradient(logits, labels[train])
    W -= LEARNING_RATE * (images[train].T @ dlogits)
    b -= LEARNING_RATE * dlogits.sum(axis=0)
    if step % 400 == 0:
        print(f"step {step:4d}   loss {loss:.4f}")

# What the model says of images it has never seen.
logits = images[test] @ W + b
accuracy = np.mean(logits.argmax(axis=1) == labels[test])
print(f"held-out accuracy {accuracy:.4f}")

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo")
folder.mkdir(parents=True, exist_ok=True)
np.save(folder / "logits.npy", logits)
np.save(folder / "labels.npy", labels[test])
print(f"next: crossent score {folder / 'logits.npy'} {folder / 'labels.npy'} --plot {folder / 'report.png'}")

if accuracy < WANTED_ACCURACY:
    sys.exit(f"the held-out accuracy is below {WANTED_ACCURACY}")
