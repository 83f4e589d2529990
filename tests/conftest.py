"""Shared by the whole suite: the backend, quiet logs, and one line in the summary for each tier."""

import atexit
import gc
import os
import shutil
import signal
import sys
import tempfile
from collections import defaultdict

import pytest

# Before anything imports Keras or TensorFlow.
os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")
# A suite that runs in the background, or detached, has its processes ignore what ends them at a terminal.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
# Tests compile far more than they compute: nothing is optimized, and each module is compiled in one piece by
# the emitters that write LLVM's code at once.
QUICK_TO_COMPILE = (
    "--xla_backend_optimization_level=0 "
    "--xla_cpu_parallel_codegen_split_count=1 "
    "--xla_cpu_use_fusion_emitters=false"
)
os.environ.setdefault("XLA_FLAGS", QUICK_TO_COMPILE)
# What was compiled once is read again: by other files, which begin with nothing, and by processes of their
# own. A folder for each worker, for JAX does not write its entries aside.
os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="keras_attn_compiled_")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)


@pytest.fixture(autouse=True, scope="module")
def forget_what_was_compiled():
    """Free the memory of a file's compiled functions: a worker runs dozens of files.

    What the files before left, modules above all, stays: the collector need not look through it again.
    """
    gc.freeze()
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
        gc.collect()


# Whole files go to a worker. These take longest, so they come first, or one worker would be done long before.
LONGEST = (
    "upstream_suites", "distribution", "end_to_end", "export_encoder", "export_language", "batch",
    "export_transformer", "notebooks", "plan_tpu", "runtimes", "web",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    """Start with the files that take longest; pytest-xdist needs an option to keep this order."""
    order = {f"test_{name}": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


TIERS = ("parity", "device", "tpu", "mediapipe", "notebooks", "web", "real")


def pytest_terminal_summary(terminalreporter, config):
    """Report for each tier whether it ran, so that none is skipped silently."""
    counts: dict[str, dict[str, int]] = {tier: defaultdict(int) for tier in TIERS}
    for outcome in ("passed", "failed", "error", "skipped", "xfailed"):
        for report in terminalreporter.stats.get(outcome, []):
            for tier in TIERS:
                if tier in getattr(report, "keywords", {}):
                    counts[tier][outcome] += 1
    if config.option.collectonly or config.option.file_or_dir:
        return  # A few files by hand are no statement about the tiers.
    terminalreporter.section("tiers")
    for tier, count in counts.items():
        ran = count["passed"] + count["failed"] + count["error"] + count["xfailed"]
        if ran:
            line = ", ".join(f"{number} {outcome}" for outcome, number in count.items())
        elif count["skipped"]:
            line = f"SKIPPED ({count['skipped']} tests; the reasons are in the summary above)"
        else:
            line = "SKIPPED (it has no tests yet)"
        terminalreporter.write_line(f"tier {tier}: {line}")
