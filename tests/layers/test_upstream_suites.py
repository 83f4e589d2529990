"""The unit tests that Keras and KerasHub publish for their layers pass with ours in place of theirs."""

import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from upstream.sources import UnavailableError, published
from upstream.suites import SUITES, Suite

HERE = Path(__file__).parent
SECONDS_FOR_ONE_RUN = 3600

pytestmark = pytest.mark.parity


@functools.cache
def run(distribution: str, backend: str) -> dict:
    """Run every suite of a package in one process, since importing the package is what takes long."""
    files = []
    for suite in SUITES:
        if suite.distribution == distribution:
            try:
                files.append(published(suite))
            except UnavailableError:
                continue  # that suite's own test says why
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        environment = {
            **os.environ,
            "KERAS_BACKEND": backend,
            "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(HERE)]),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTEST_ADDOPTS": "",
        }
        command = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(files[0].parent), "-q"]
        command += ["-p", "upstream.substitute", "-p", "no:cacheprovider", "--disable-warnings", "--tb=short"]
        command += ["--upstream-report", str(report), *map(str, files)]
        done = subprocess.run(
            command, env=environment, cwd=folder, capture_output=True, text=True, timeout=SECONDS_FOR_ONE_RUN
        )
        if not report.exists():
            raise RuntimeError(
                f"pytest ended without a report:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
            )
        return json.loads(report.read_text())


@pytest.mark.parametrize("backend", ["jax", "tensorflow"])
@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.layer)
def test_the_published_tests_pass_with_our_layer(suite: Suite, backend: str):
    try:
        published(suite)
    except UnavailableError as why:
        pytest.skip(f"the published tests of {suite.layer}: {why}")
    found = run(suite.distribution, backend)[suite.file_name]
    failed = {name: text for name, (outcome, text) in found["outcomes"].items() if outcome == "failed"}
    assert not failed, "\n\n".join(f"{name}\n{text}" for name, text in failed.items())
    # The tests met our class, and never the one they were written for.
    assert found["ours"] > 0
    assert found["published"] == 0
    assert [outcome for outcome, _ in found["outcomes"].values()].count("passed") > 0
    # Nothing was left out but what the table names, and the table names nothing that is not there.
    assert sorted(found["left_out"]) == sorted(suite.left_out)
