"""Damaged and lying files, and the process that scores each of them under limits of memory and CPU time.

``corpus(format)`` makes them; ``python hostile.py FORMAT`` runs them and prints what came out, as JSON, for
test_cli_hostile.py: in one process, so that thousands are quick, and in another than the tests, which a crash would end.
"""

import contextlib
import io
import json
import os
import re
import struct
import sys
import time
import zipfile
from pathlib import Path

import numpy as np

MEMORY = 256 << 20  # bytes above what the process has once it has scored a whole file
os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"  # the others reserve a gigabyte of addresses
LOGITS = np.arange(12, dtype=np.float32).reshape(4, 3) / 7
SAFE_HEADER = {"x": {"dtype": "F32", "shape": [4, 3], "data_offsets": [0, 48]}}


def npy(array=LOGITS, **fields):
    """A .npy file; `fields` replace those of its header, in Python's words."""
    file = io.BytesIO()
    np.save(file, array)
    content = file.getvalue()
    if not fields:
        return content
    header = {"descr": "'<f4'", "fortran_order": "False", "shape": "(4, 3)"} | fields
    text = ("{" + ", ".join(f"'{name}': {value}" for name, value in header.items()) + "}\n").encode()
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", len(text)) + text + content[128:]


def npz(content=None, method=zipfile.ZIP_STORED, name="x.npy"):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr(zipfile.ZipInfo(name) if method == zipfile.ZIP_STORED else name, content or npy(), method)
    return file.getvalue()


def safetensors(header=None, data=None, length=None, **entry):
    header = {"x": SAFE_HEADER["x"] | entry} if header is None else header
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + (LOGITS.tobytes() if data is None else data)


def parquet():
    import pyarrow
    import pyarrow.parquet

    file = io.BytesIO()
    column = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(LOGITS.reshape(-1)), 3)
    pyarrow.parquet.write_table(pyarrow.table({"x": column}), file, compression="none", store_schema=True)
    return file.getvalue()


def lying_npy():
    yield "v2 header length", b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + b"{" * 100
    yield "long header", npy(note="'" + "x" * 20_000 + "'")
    yield "deep header", npy(shape="(" * 4000 + ")" * 4000)
    yield "large number", npy(shape="(" + "9" * 9000 + ",)")
    for shape in ("(4, -3)", "(-4, -3)", "(True, 12)", "(4.0, 3)", "[4, 3]", "4", "('4', 3)", "(2**2, 3)", "None"):
        yield f"shape {shape}", npy(shape=shape)
    for shape in ((2**62, 2**62), (2**63, 0), (0, 2**40), (2**31, 2**31), (2**40, 0, 3), (1,) * 70, (4, 3, 1) * 22):
        yield f"shape {shape}"[:40], npy(shape=str(shape))
    for descr in (
        "'|O'",
        "'O'",
        "'<M8[s]'",
        "'<U3'",
        "'|S4'",
        "'|V4'",
        "'<c8'",
        "'<f4,<f4'",
        "[('a', '<f4')]",
        "('<f4', (3,))",
    ):
        yield f"descr {descr}", npy(descr=descr)
    for descr in ("'|V1000000000'", "'<f99'", "''", "7", "None", "'__import__(\"os\")'", "[('a'*5, '<f4')]", "'<f4'*9"):
        yield f"descr {descr}", npy(descr=descr)
    yield "expression", npy(shape="__import__('os').system('touch owned')")
    yield "key missing", npy().replace(b"fortran_order", b"fortran_ordre")
    yield "more keys", npy(more="1")
    for content in (
        b"",
        b"\x93",
        b"\x93NUMPY",
        b"\x93NUMPY\x01\x00",
        b"\x93NUMPY\x03\x00" + npy()[8:],
        b"\x93NUMPY\x00\x00",
        b"\0" * 99,
    ):
        yield f"{content[:12]!r}", content


def lying_npz():
    yield "bzip2", npz(method=zipfile.ZIP_BZIP2)
    yield "lzma", npz(method=zipfile.ZIP_LZMA)
    yield "bomb", npz(npy(shape="(1000000000, 3)") + bytes(300 << 20), zipfile.ZIP_DEFLATED)
    yield "longer member", npz(npy() + b"\0")
    yield "shorter member", npz(npy()[:-1])
    yield "no array", npz(b"hello")
    yield "other name", npz(b"hello", name="../../x.npy")
    yield "name of signs", npz(b"hello", name="a\nb\x1b[31m.npy")
    yield "empty", b"PK\x05\x06" + bytes(18)
    content = npz()
    end = content.rindex(b"PK\x05\x06")
    for field, size in (
        (8, 2),
        (10, 2),
        (12, 4),
        (16, 4),
        (20, 2),
    ):  # entries, entries, size and offset of the directory, comment
        for value in (0, 1, 2 ** (8 * size) - 1):
            changed = bytearray(content)
            changed[end + field : end + field + size] = value.to_bytes(size, "little")
            yield f"end {field} {value}", bytes(changed)
    entry = content.rindex(b"PK\x01\x02")
    for field, size in (
        (8, 2),
        (10, 2),
        (16, 4),
        (20, 4),
        (24, 4),
        (28, 2),
        (42, 4),
    ):  # flags, method, crc, sizes, name, offset
        for value in (0, 1, 9, 2 ** (8 * size) - 1):
            changed = bytearray(content)
            changed[entry + field : entry + field + size] = value.to_bytes(size, "little")
            yield f"entry {field} {value}", bytes(changed)


def lying_safetensors():
    for length in (0, 1, 2**16, 100 << 20, 2**63, 2**64 - 1):
        yield f"length {length}", safetensors(length=length)
    for offsets in ([0, 47], [0, 49], [1, 48], [0, 2**64], [48, 0], [-48, 0], [0.0, 48.0], [True, 48], [0], "048", None):
        yield f"offsets {offsets}", safetensors(data_offsets=offsets)
    for shape in (
        [4, -3],
        [-4, -3],
        [2**62, 2**62],
        [2**64, 0],
        [4.0, 3],
        [True, 12],
        [[4], 3],
        "43",
        None,
        [1] * 99,
        {"4": 3},
        [12],
    ):
        yield f"shape {shape}"[:40], safetensors(shape=shape)
    for dtype in ("F8_E4M3", "BOOL", "f32", "", 7, None, ["F32"], "F64", "I64"):
        yield f"dtype {dtype}", safetensors(dtype=dtype)
    x = SAFE_HEADER["x"]
    yield "overlap", safetensors({"x": x, "y": x})
    yield "hole", safetensors({"x": x | {"data_offsets": [4, 52]}}, bytes(52))
    yield "data after", safetensors(data=LOGITS.tobytes() + b"\0")
    yield "name twice", safetensors(json.dumps(SAFE_HEADER).encode()[:-1] + b"," + json.dumps(SAFE_HEADER).encode()[1:])
    yield "many", safetensors({f"t{k}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for k in range(50_000)}, b"")
    yield "deep", safetensors(b"[" * 1_000_000)
    yield "lists", safetensors(b"[" + b"[]," * 1_300_000 + b"[]]")
    yield "large number", safetensors(b'{"x": ' + b"9" * 1_000_000 + b"}")
    for text in (
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'"x"',
        b'{"x": 1}',
        b'{"x": {}}',
        b'{"__metadata__": 1}',
        b"{",
        b"NaN",
    ):
        yield f"header {text!r}", safetensors(text)


def lying_parquet():
    content = parquet()
    yield "no end", content[:-4]
    for length in (0, 1, 2**31 - 1, 2**32 - 1):
        yield f"footer {length}", content[:-8] + struct.pack("<I", length) + b"PAR1"
    yield "only magic", b"PAR1PAR1"
    yield "encrypted", content[:-4] + b"PARE"


FORMATS = {
    "npy": (npy, lying_npy),
    "npz": (npz, lying_npz),
    "safetensors": (safetensors, lying_safetensors),
    "parquet": (parquet, lying_parquet),
}


def corpus(name, flips):
    """(what is wrong, content): cut at every byte, `flips` bits turned one at a time, and files that lie."""
    whole, lying = FORMATS[name]
    content = whole()
    yield "whole", content
    for length in range(len(content)):
        yield f"cut at {length}", content[:length]
    for bit in np.random.default_rng(0).permutation(8 * len(content))[:flips].tolist():
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        yield f"bit {bit}", bytes(changed)
    yield from lying()


def main(name, flips):
    """Score each in the current folder; print [what, status, stdout, stderr, what it left, seconds, losses] of each."""
    import resource

    from crossent import cli

    np.save("labels.npy", np.arange(4) % 3)
    limit = resource.RLIM_INFINITY
    results = []
    for what, content in corpus(name, flips):
        Path(f"x.{name}").write_bytes(content)
        out, err = io.StringIO(), io.StringIO()
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        began = time.process_time()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = cli.main(["score", f"x.{name}", "labels.npy", "--output", "losses.npy", "--threads", "1"])
        seconds = time.process_time() - began
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        left = sorted(set(os.listdir()) - {f"x.{name}", "labels.npy"})
        losses = np.load("losses.npy").tolist() if left == ["losses.npy"] else None
        for path in left:
            os.unlink(path)
        results.append((what, status, out.getvalue(), err.getvalue(), left, seconds, losses))
        if what == "whole":  # which has imported all there is
            limit = 1024 * int(re.search(r"VmSize:\s+(\d+)", Path("/proc/self/status").read_text())[1]) + MEMORY
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
