"""Ten models of the zoo with one thing changed: export or verify finds each."""

import pytest
from test_zoo import lines

pytestmark = pytest.mark.filterwarnings("ignore")

SABOTAGED = {
    "masked_lstm": "export",
    "towers": "export",
    "residual": "export",
    "keras_transformer": "export",
    "fitted": "export",
    "chosen_label": "export",
    "states": "export",
    "masked_series": "verify: settings",
    "nested_outputs": "verify: settings",
    "adapted": "verify",
}


@pytest.fixture(scope="module")
def sabotaged():
    return lines("tensorflow", "sabotage_zoo")


@pytest.mark.parametrize("name", SABOTAGED)
def test_change_is_found(sabotaged, name):
    assert SABOTAGED[name] in sabotaged[name]["found"], sabotaged[name]
