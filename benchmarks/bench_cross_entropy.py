"""The grid: time of loss and of loss with gradient, rate of memory, per instruction set and threads."""

import numpy as np

import crossent

from .common import GRID, POINTS

# The largest shapes take a second to make and nothing new to learn from.
NAMES = [point.name for point in GRID if point.nbytes < 1 << 27]
COMPUTED = ["loss", "loss and gradient"]


def prepared(name, computed):
    """A call of one point that has run once: pages touched, threads started."""
    point = POINTS[name]
    inputs = point.inputs()
    logits, target, options = inputs["logits"], inputs["target"], inputs["options"]
    if computed == "loss":
        value = point.value
        call = lambda: value(logits, target, **options)  # noqa: E731
    else:
        both, out = point.value_and_grad, np.zeros_like(logits)
        call = lambda: both(logits, target, out=out, **options)  # noqa: E731
    call()
    return call


class Grid:
    """Time per call."""

    params = (NAMES, COMPUTED, [1, 2])
    param_names = ("logits", "computed", "threads")

    def setup(self, name, computed, threads):
        crossent.set_num_threads(threads)
        self.call = prepared(name, computed)

    def time_call(self, name, computed, threads):
        self.call()


class Throughput:
    """Bytes that must move over the time they take, one thread."""

    params = (["(65536,10)", "(4096,1000)", "(512,32000)", "segmentation (8,21,256,256)"], COMPUTED)
    param_names = ("logits", "computed")
    unit = "GB/s"

    def setup(self, name, computed):
        crossent.set_num_threads(1)
        self.call = prepared(name, computed)

    def track_rate(self, name, computed):
        from timeit import repeat

        seconds = float(np.median(repeat(self.call, number=1, repeat=15)))
        return POINTS[name].bytes_moved(computed != "loss") / seconds / 1e9

    track_rate.unit = "GB/s"


class InstructionSets:
    """Time per call with each instruction set forced, without a rebuild; one thread."""

    params = (["(65536,10)", "(4096,1000)", "(65536,100) float64"], COMPUTED, ["avx512", "avx2", "neon", "scalar"])
    param_names = ("logits", "computed", "instruction set")

    def setup(self, name, computed, isa):
        if isa not in crossent._runtime.isa_names():
            raise NotImplementedError(f"this CPU has no {isa}")
        crossent.set_num_threads(1)
        self.forced = crossent._runtime.use_isa(isa)
        self.forced.__enter__()
        self.call = prepared(name, computed)

    def teardown(self, name, computed, isa):
        if hasattr(self, "forced"):
            self.forced.__exit__(None, None, None)

    def time_call(self, name, computed, isa):
        self.call()
