"""The rules of operators accept what LiteRT computes, and refuse what would read or write out of bounds."""

import numpy as np
import pytest
from operator_cases import CASES, WRONG, file_of, wrong_file

from keras_attn.device.errors import BundleError
from keras_attn.device.model_check.model_check import check_model


@pytest.mark.parametrize("name", CASES)
def test_what_a_rule_accepts_is_computed(name):
    from ai_edge_litert.interpreter import Interpreter

    content = file_of(name)
    check_model(content, "model")
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    for given in interpreter.get_input_details():
        interpreter.set_tensor(given["index"], np.ones(given["shape"], given["dtype"]))
    interpreter.invoke()
    for (kind, shape), made in zip(CASES[name][2], interpreter.get_output_details(), strict=True):
        found = interpreter.get_tensor(made["index"])
        assert (found.dtype, found.shape) == (np.dtype(kind), shape)


@pytest.mark.parametrize(("name", "part", "place", "value", "message"), WRONG)
def test_what_does_not_fit_is_refused(name, part, place, value, message):
    with pytest.raises(BundleError, match=f"{CASES[name][0]}, operator 0 of subgraph 0: .*{message}"):
        check_model(wrong_file(name, part, place, value), "model")
