"""The device's program as one file, for devices where nothing may be installed: a zip that Python runs.

    python -m keras_attn_export.single_file dist/keras_attn-device.pyz

It holds `keras_attn.device` and needs what that needs: Python 3.10 or newer, NumPy, tokenizers and an
interpreter. It is kept beside bundles, never in one: nothing in a bundle is executable.
"""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path

import keras_attn
from keras_attn.device.files.atomic_write import replaced

NAME = "keras_attn-device.pyz"
BESIDE = ("__init__.py", "errors.py", "lazy_names.py", "registration.py")
"""Files of the package that `keras_attn.device` needs."""
_MAIN = f'''"""keras_attn.device {keras_attn.__version__} as one file."""

import os
import sys

from keras_attn.device.__main__ import run

if __name__ == "__main__":
    sys.exit(run(f"python {{os.path.basename(sys.argv[0])}}"))
'''


def write_single_file(path: str | os.PathLike[str]) -> Path:
    """Write the device's program to one file, aside and then renamed; the same program makes the same file.

    Args:
        path: the file, whose name should end in `.pyz`. An existing one is replaced.

    Returns:
        The path.
    """
    path, package = Path(path), Path(keras_attn.__file__).parent
    sources = [*map(package.joinpath, BESIDE), *sorted((package / "device").rglob("*.py"))]
    contents = {str(source.relative_to(package.parent)): source.read_bytes() for source in sources}
    with replaced(path) as aside:
        with open(aside, "wb") as file:
            file.write(b"#!/usr/bin/env python3\n")
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, content in {"__main__.py": _MAIN.encode(), **contents}.items():
                    # A fixed date, so that only the contents matter.
                    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
                    info.external_attr = 0o644 << 16
                    archive.writestr(info, content, zipfile.ZIP_DEFLATED)
        aside.chmod(0o755)
    return path


def main() -> int:
    """Write the file that the command line names."""
    if len(sys.argv) != 2:
        print(f"usage: python -m keras_attn_export.single_file FILE, such as dist/{NAME}", file=sys.stderr)
        return 2
    print(write_single_file(sys.argv[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
