"""A pytest plugin that puts our layers where published tests look for theirs, and reports which were made.

For one file by hand, from the repository root::

    PYTHONPATH=.:tests/layers python -m pytest -c /dev/null -p upstream.substitute FILE_test.py
"""

import importlib
import importlib.util
import json
import sys
import types
from collections import Counter, defaultdict
from pathlib import Path

from upstream.suites import SUITES


def pytest_addoption(parser):
    """Add the option that names the report."""
    parser.addoption("--upstream-report", help="JSON file to write: what ran, and with which class")


def pytest_configure(config):
    """Substitute the layers of the test files on the command line, before any of them is imported."""
    # A mark of Keras' and KerasHub's own conftest.py; both backends that run here are trainable.
    config.addinivalue_line("markers", "requires_trainable_backend: upstream's")
    if importlib.util.find_spec("grain") is None:
        # KerasHub's base class imports it for checks of preprocessors that these suites do not make.
        sys.modules["grain"] = types.ModuleType("grain")
    wanted = {Path(argument).name for argument in config.args}
    suites = [suite for suite in SUITES if suite.file_name in wanted]
    config.pluginmanager.register(Substitution(suites, config.getoption("--upstream-report")))


class Substitution:
    """Our layers in place of the published ones, for one run of pytest."""

    def __init__(self, suites, report):
        import keras

        import keras_attn.layers

        self.report = report
        self.suites = {suite.file_name: suite for suite in suites}
        self.published, self.ours = {}, {}
        for name, suite in self.suites.items():
            module = importlib.import_module(suite.module)
            self.published[name] = getattr(module, suite.layer)
            self.ours[name] = getattr(keras_attn.layers, suite.layer)
            setattr(module, suite.layer, self.ours[name])

        self.running = None
        self.made = Counter()  # (test file, class) -> instances
        self.outcomes = defaultdict(dict)  # test file -> test -> [outcome, what pytest says of it]
        self.left_out = defaultdict(list)
        create = keras.layers.Layer.__new__

        def create_and_count(cls, *args, **kwargs):
            self.made[self.running, cls] += 1
            return create(cls, *args, **kwargs)

        keras.layers.Layer.__new__ = staticmethod(create_and_count)

    def pytest_collection_modifyitems(self, config, items):
        """Leave out what the table leaves out."""
        left_out = [item for item in items if item.name in self.suites[item.path.name].left_out]
        for item in left_out:
            self.left_out[item.path.name].append(item.name)
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)

    def pytest_runtest_setup(self, item):
        """Remember whose test makes the next layers."""
        self.running = item.path.name

    def pytest_runtest_logreport(self, report):
        """Record the result of a test: its call, or the reason why it did not pass."""
        if report.when == "call" or report.outcome != "passed":
            name = Path(report.fspath).name
            self.outcomes[name][report.nodeid.split("::")[-1]] = [report.outcome, report.longreprtext]

    def pytest_terminal_summary(self, terminalreporter):
        """Record which classes were created, and write the report."""
        result = {}
        for name, suite in self.suites.items():
            ours, published = self.made[name, self.ours[name]], self.made[name, self.published[name]]
            terminalreporter.write_line(f"{suite.layer}: {ours} of ours and {published} published were made")
            result[name] = {
                "ours": ours,
                "published": published,
                "outcomes": self.outcomes[name],
                "left_out": self.left_out[name],
            }
        if self.report:
            Path(self.report).write_text(json.dumps(result))
