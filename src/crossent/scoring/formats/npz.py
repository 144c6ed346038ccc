""".npz: members of a zip file that are .npy files, stored or deflated; ``zipfile`` reads them and compares their checksums.

A member is read as a stream, so that neither a compressed one is ever whole in memory nor a lying directory believed.
Called by ``sources.py``.
"""

from __future__ import annotations

import zipfile

from crossent.scoring.errors import DataError, reading
from crossent.scoring.files import InputFile
from crossent.scoring.formats import npy
from crossent.scoring.formats.rows import StreamRows, check_size, the_member

BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what np.savez writes; the others of zipfile unpack all at once


def open_rows(file: InputFile, name: str, member: str | None) -> StreamRows:
    """The array of a member, whose name may come without its ".npy"."""
    archive, infos = _infos(file, name)
    chosen = the_member(name, list(infos), member.removesuffix(".npy") if member else None)
    info, name = infos[chosen], f"{name}:{chosen}"
    if info.compress_type not in BOUNDED:
        raise DataError(f"{name}: expected a stored or deflated member, but got compression method {info.compress_type}")
    with reading(name, "damaged"):
        stream = archive.open(info)
    shape, dtype = npy.read_header(stream, name)
    check_size(name, shape, dtype, info.file_size - stream.tell())
    return StreamRows(stream, name, shape, dtype, file)


def names(file: InputFile, name: str) -> list[str]:
    """The members, without ".npy"."""
    return list(_infos(file, name)[1])


def _infos(file: InputFile, name: str) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
    with reading(name, "not a .npz file"):
        archive = zipfile.ZipFile(file)
        return archive, {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
