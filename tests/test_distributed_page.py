"""The code of docs/distributed.md runs and gives what one machine gives; MPI is threads here."""

import re
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import crossent
import crossent.nn.functional as F

PAGE = Path(__file__).parents[1] / "docs" / "distributed.md"


def block(number):
    """The page's Python block of this number."""
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)[number]


def run_block(number):
    """The names that it defines."""
    names = {}
    exec(block(number), names)
    return names


SCRIPT = """
if __name__ == "__main__":
    import multiprocessing

    multiprocessing.set_start_method("spawn")  # what all systems have
    logits, target = np.load("logits.npy"), np.load("target.npy")
    cuts = [3, 43, 44]
    result = score_everywhere(zip(np.split(logits, cuts), np.split(target, cuts), strict=True))
    print(result.mean_loss.hex(), result.rows)
"""


def test_dask():
    dask = pytest.importorskip("dask")
    with dask.config.set(scheduler="synchronous"):
        names = run_block(0)
        logits, labels = dask.compute(names["logits"], names["labels"])
    one_machine = crossent.score(logits, labels, top_k=3)
    assert names["report"].mean_loss == one_machine.mean_loss
    assert names["loss"] == pytest.approx(one_machine.mean_loss, rel=4e-16)


def test_states_of_a_scorer(rng, tmp_path):
    logits, target = rng.normal(size=(51, 5)), rng.integers(0, 5, 51)
    np.save(tmp_path / "logits.npy", logits)
    np.save(tmp_path / "target.npy", target)
    (tmp_path / "page.py").write_text(block(1) + SCRIPT)
    output = subprocess.run(
        [sys.executable, "page.py"], cwd=tmp_path, check=True, timeout=60, stdout=subprocess.PIPE, text=True
    )
    mean_loss, rows = output.stdout.split()
    assert float.fromhex(mean_loss) == crossent.score(logits, target).mean_loss
    assert int(rows) == 51


class Communicator:
    """Allreduce among threads: of mpi4py's, what the page uses."""

    def __init__(self, processes):
        self.barrier, self.sent = threading.Barrier(processes, timeout=30), {}

    def Allreduce(self, values, result, op):
        self.sent[threading.get_ident()] = values
        self.barrier.wait()
        result[...] = op(list(self.sent.values()))
        self.barrier.wait()


def test_vocabulary_parallel_loss(rng):
    logits, target = 5 * rng.normal(size=(50, 11)), rng.integers(0, 11, 50)
    logits[0, :4], target[0] = -np.inf, 9
    function, mpi = (
        run_block(2)["vocabulary_parallel_loss"],
        SimpleNamespace(MAX=lambda a: np.max(a, 0), SUM=lambda a: np.sum(a, 0)),
    )
    bounds, results = [0, 2, 4, 5, 11], [None] * 4
    communicator = Communicator(4)

    def process(rank):
        start, stop = bounds[rank : rank + 2]
        results[rank] = function(communicator, mpi, logits[:, start:stop], start, target)

    threads = [threading.Thread(target=process, args=(rank,)) for rank in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        np.testing.assert_allclose(result, F.cross_entropy(logits, target, reduction="none"), rtol=1e-12, atol=1e-14)
