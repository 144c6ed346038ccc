"""What a small call costs, and what the package costs before the first: latency, import time, size of the extension."""

import io
import zipfile
from pathlib import Path

import numpy as np

import crossent
import crossent.nn as nn
import crossent.nn.functional as F


class SmallCalls:
    """Calls whose work is next to nothing."""

    params = (["cross_entropy", "value_and_grad", "CrossEntropyLoss", "softmax", "logsumexp"], [1, 128])
    param_names = ("call", "rows")

    def setup(self, call, rows):
        logits = np.random.default_rng(0).standard_normal((rows, 10), np.float32)
        target = np.arange(rows) % 10
        both, criterion, out = crossent.value_and_grad(F.cross_entropy), nn.CrossEntropyLoss(), np.empty_like(logits)
        self.call = {
            "cross_entropy": lambda: F.cross_entropy(logits, target),
            "value_and_grad": lambda: both(logits, target, out=out),
            "CrossEntropyLoss": lambda: criterion(logits, target),
            "softmax": lambda: F.softmax(logits, 1),
            "logsumexp": lambda: crossent.logsumexp(logits, 1),
        }[call]

    def time_call(self, call, rows):
        self.call()


class Import:
    """In a process of its own each time."""

    def timeraw_import_crossent(self):
        return "import crossent"

    def timeraw_import_numpy(self):
        return "import numpy"


class Size:
    def track_extension(self):
        return sum(path.stat().st_size for path in Path(crossent.__file__).parent.glob("_kernels*.so"))

    def track_wheel(self):
        """Of a wheel of what is installed: the package's files, deflated."""
        packed, folder = io.BytesIO(), Path(crossent.__file__).parent
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as wheel:
            for path in folder.rglob("*"):
                if path.suffix in (".py", ".pyi", ".so", ".typed"):
                    wheel.write(path, path.relative_to(folder))
        return len(packed.getvalue())

    track_extension.unit = track_wheel.unit = "bytes"
