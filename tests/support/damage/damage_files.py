"""Damages of files whatever is in them, of arrays, and of what a bundle is kept in: a .zip or a folder."""

import io
import os
import socket
import stat
import warnings
import zipfile
from contextlib import suppress

import numpy as np

MANIFEST, MODEL, PROOF, SHORTLIST = "manifest.json", "model.tflite", "proof.npz", "shortlist.npz"


def harm_bytes(content, rng):
    """Change bytes, cut, double, or make something else of it."""
    data = bytearray(content)
    match int(rng.integers(8)):
        case 0:
            return bytes(data[: int(rng.integers(len(data) + 1))]), "cut"
        case 1:
            return b"", "empty"
        case 2:
            return bytes(rng.bytes(int(rng.integers(1, 2000)))), "noise"
        case 3:
            return bytes(data + data), "doubled"
        case _:
            for place in rng.integers(max(1, len(data)), size=int(rng.integers(1, 9))).tolist():
                if place < len(data):
                    data[place] ^= 1 << int(rng.integers(8))
            return bytes(data), "bits flipped"


class _Evil:
    def __reduce__(self):
        return os.system, ("echo unpickled",)


def harm_arrays(files, rng):
    """Damage an array of proof.npz or shortlist.npz, or one of these files; return what was done."""
    name = str(rng.choice([name for name in (PROOF, SHORTLIST) if name in files]))
    if rng.random() < 0.25:
        files[name], done = harm_bytes(files[name], rng)
        return f"{name} {done}"
    with np.load(io.BytesIO(files[name]), allow_pickle=True) as file:
        arrays = {each: file[each] for each in file.files}
    chosen = str(rng.choice(list(arrays)))
    members = {each: _npy(array) for each, array in arrays.items()}
    done = _harm_array(members, chosen, arrays[chosen], rng)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for each, content in members.items():
            archive.writestr(f"{each}.npy", content)
    files[name] = out.getvalue()
    return f"{name} {chosen} {done}"


def _npy(array):
    out = io.BytesIO()
    np.lib.format.write_array(out, np.asanyarray(array), allow_pickle=True)
    return out.getvalue()


def _harm_array(members, name, array, rng):
    match int(rng.integers(14)):
        case 0:
            members[name] = _npy(np.array([_Evil()], object))
            return "pickled"
        case 1:
            dtype = str(
                rng.choice(["f8", "i8", "u4", "i1", "?", "c8", "U3", "S2", "f2", ">i4", "M8[s]", "i4,f4"])
            )
            with suppress(ValueError, TypeError):
                members[name] = _npy(np.zeros(array.shape, dtype))
            return f"of {dtype}"
        case 2:
            members[name] = _npy(array[None])
            return "with one more axis"
        case 3:
            members[name] = _npy(array.ravel()[:0])
            return "empty"
        case 4:
            members[name] = _npy(np.asarray(array.ravel()[0] if array.size else 0))
            return "a number"
        case 5:
            members[name] = _npy(np.ascontiguousarray(array.T))
            return "turned"
        case 6:
            members[name] = _npy(array[: len(array) // 2] if array.ndim else array)
            return "halved"
        case 7:
            header = "{'descr': '<i4', 'fortran_order': False, 'shape': (1000000000000,), }".ljust(117) + "\n"
            members[name] = (
                b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + b"\0" * 64
            )
            return "of terabytes"
        case 8:
            members[name] = members[name][: int(rng.integers(len(members[name])))]
            return "cut"
        case 9:
            del members[name]
            return "missing"
        case 10:
            members[name] = members[name] + b"\0" * 3 * 10**8
            return "a bomb"
        case _:
            junk = (
                [-1, 2**31 - 1, -(2**31), 10**6, 5]
                if array.dtype.kind == "i"
                else [np.nan, np.inf, -1e30, 0, 7]
            )
            changed = array.copy()
            if changed.ndim and changed.size:
                changed.flat[int(rng.integers(changed.size))] = rng.choice(junk)
            else:
                changed = np.asarray(rng.choice(junk), array.dtype)
            members[name] = _npy(changed)
            return "with another number"


def zipped(files):
    """Return the bytes of a .zip."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def harm_zip(path, rng):
    """Damage a .zip; return what was done."""
    data = bytearray(path.read_bytes())
    directory, local = data.rfind(b"PK\x01\x02"), data.find(b"PK\x03\x04", 4)
    match int(rng.integers(10)):
        case 0:
            data = data[: int(rng.integers(len(data)))]
            done = "cut"
        case 1:
            data[directory + 8] |= 1
            done = "encrypted"
        case 2:
            method = int(rng.choice([1, 9, 12, 14, 93, 99]))
            data[directory + 10 : directory + 12] = method.to_bytes(2, "little")
            done = f"packed by {method}"
        case 3:
            size = int(rng.choice([0, 1, 2**31, 2**32 - 2]))
            data[directory + 24 : directory + 28] = size.to_bytes(4, "little")
            done = f"of {size} bytes"
        case 4:
            data[directory + 42 : directory + 46] = int(rng.integers(2**32)).to_bytes(4, "little")
            done = "elsewhere"
        case 5:
            data[local + 26 : local + 30] = rng.bytes(4)
            done = "another local header"
        case 6:
            with zipfile.ZipFile(path, "a") as archive:
                for i in range(int(rng.choice([3, 3000, 30000]))):
                    archive.writestr(f"{i}", b"")
            return "many members"
        case 7:
            with zipfile.ZipFile(path, "a") as archive:
                archive.writestr("../../escaped", b"x")
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    archive.writestr(str(rng.choice([MODEL, MANIFEST])), b"x")
            return "twice"
        case _:
            for place in rng.integers(len(data), size=int(rng.integers(1, 9))).tolist():
                data[place] ^= 1 << int(rng.integers(8))
            done = "bits flipped"
    path.write_bytes(data)
    return done


def harm_folder(path, rng):
    """Put something else in the place of a file; return what."""
    name = str(rng.choice([each.name for each in sorted(path.iterdir())]))
    file = path / name
    kind = str(
        rng.choice(
            ["fifo", "link out", "link to zeros", "device", "folder", "missing", "socket", "link to itself"]
        )
    )
    content = file.read_bytes()
    file.unlink()
    match kind:
        case "fifo":
            os.mkfifo(file)
        case "link out":
            (path.parent / "outside").write_bytes(content)
            file.symlink_to(path.parent / "outside")
        case "link to zeros":
            file.symlink_to("/dev/zero")
        case "device":
            with suppress(PermissionError):
                os.mknod(file, 0o600 | stat.S_IFCHR, os.makedev(1, 5))
        case "folder":
            file.mkdir()
        case "socket":
            with suppress(OSError), socket.socket(socket.AF_UNIX) as end:
                end.bind(os.fspath(file))
        case "link to itself":
            file.symlink_to(name)
    return f"{name} {kind}"
