"""Damaged and lying files, thousands of them: each ends in a line and status 3, in little memory and time; nothing is left."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import crossent.nn.functional as F
import hostile

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="no /proc")
SLOWER = float(os.environ.get("CROSSENT_TESTS_SLOWER", 1))  # `make sanitize-python`, whose library is watched, sets it
SECONDS = 2.0 * SLOWER  # of the CPU, for a file, whatever else the machine does; the slowest take 0.3 s


@pytest.fixture
def scored(request, tmp_path):
    """What came out of each file of a format's corpus."""
    name, flips = request.param
    if name == "parquet":
        pytest.importorskip("pyarrow")
    script = Path(hostile.__file__)
    done = subprocess.run((sys.executable, script, name, str(flips)), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return name, json.loads(done.stdout)


@pytest.mark.parametrize("scored", [(name, 400) for name in hostile.FORMATS], indirect=True, ids=hostile.FORMATS)
def test_hostile_files(scored):
    check(*scored)


@pytest.mark.long
@pytest.mark.parametrize("scored", [(name, 10**6) for name in hostile.FORMATS], indirect=True, ids=hostile.FORMATS)
def test_every_bit_turned(scored):
    check(*scored)


def check(name, results):
    right = F.cross_entropy(hostile.LOGITS, np.arange(4) % 3, reduction="none").tolist()
    assert results[0][0] == "whole"
    assert results[0][6] == right
    for what, status, out, err, left, seconds, losses in results:
        assert status in (0, 3), (what, status, err)
        assert seconds < SECONDS, (what, seconds)
        if status:
            assert re.fullmatch(rf"crossent score: error: (x\.{name}(:\S*)?|labels\.npy): [^\n]*\n", err), (what, err)
            assert err[:-1].isprintable(), (what, err)
            assert (out, left) == ("", []), what
        else:
            # a turned bit may be one of the data, or of no importance; zip files have checksums
            assert what == "whole" or what.startswith(("bit", "end", "entry")) or what == "shape [12]", what
            assert name != "npz" or losses == right, what
            assert (err, left) == ("", ["losses.npy"]), what
