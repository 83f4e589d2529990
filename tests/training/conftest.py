"""Fixtures of the tests that interrupt, damage and resume a tiny training."""

import pytest
from tiny_training import Listener, tiny_config, train_tiny

from keras_attn.pictures import curves


@pytest.fixture(scope="module")
def quick_curves():
    """Curves that take no time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(curves, "training_curves", lambda rows, path, metric: path.write_bytes(b"a picture"))
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def config(data):
    return tiny_config(data)


@pytest.fixture(scope="module")
def whole(data, quick_curves):
    """An uninterrupted training: its folder, and its losses."""
    listener = Listener()
    train_tiny(tiny_config(data), data / "whole", progress=listener)
    return data / "whole", listener.losses
