"""keras_attn/train.pyi has the settings of today, so that editors and type checkers know them."""

import shutil

import pytest
from test_docs import ROOT, load
from test_user_code import errors_of

train_stub = load(ROOT / "tools" / "train_stub.py")


def test_the_stub_is_up_to_date():
    assert train_stub.STUB.read_text("utf-8") == train_stub.stub(), "train.pyi is old: run `make docs`"


@pytest.mark.skipif(shutil.which("node") is None, reason="pyright needs Node")
def test_unknown_settings_and_wrong_types_are_found(tmp_path):
    call = "import keras_attn\n\nkeras_attn.train.translation('run', data='dates', epochs=2{})\n"
    assert errors_of(tmp_path, call.format("")) == []
    (unknown,) = errors_of(tmp_path, call.format(", warm_up=3"))
    (wrong,) = errors_of(tmp_path, call.format(", schedule='cosine'"))
    assert '"warm_up"' in unknown and '"schedule"' in wrong
