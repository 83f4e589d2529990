"""The web app's worker without a browser: requests wait for each other, long texts are refused at once."""

import pytest
from web_browser import drive, require_node

pytestmark = pytest.mark.web


@pytest.fixture(scope="module")
def found():
    require_node()
    return drive("turns")


def test_requests_wait_for_each_other_and_can_be_stopped(found):
    assert found["answers"] == ["one", "three", "five"]
    assert found["stopped"] == ["Stopped", "Stopped", "ten"]


def test_a_long_text_is_refused_by_its_length(found):
    for refused, size in zip(found["refused"], (2, 4, 2, 4), strict=True):
        assert refused.startswith(f"InputError: A sentence has {size * 10**6 + 1} characters")
    assert found["characters"] < 3 * 10**6
    assert found["parts"] > 100 and found["longest"] <= 64
