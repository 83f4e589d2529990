"""Models of the zoo with one thing changed: export or verify finds each."""

import pytest
from test_zoo import lines
from zoo.sabotage_bundles import MODELS

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


@pytest.fixture(scope="module")
def changed():
    return lines("tensorflow", "sabotage_bundles")


@pytest.mark.parametrize(
    "name", [f"{name} {change}" for name, changes in MODELS.items() for change in changes]
)
def test_change_of_a_finished_bundle_is_found(changed, name):
    assert changed[name]["found"], changed[name]
