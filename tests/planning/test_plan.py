"""Planning without the TPU compiler: what is asked, what is counted, what is read, and the command."""

import dataclasses
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from keras_attn import cli
from keras_attn.planning import compiling, counting, program, trainings, verdict
from keras_attn.planning.errors import PlanError
from keras_attn.planning.request import TOKENS_PER_REPLICA, Request
from keras_attn.planning.topologies import find_topology
from keras_attn.training.config.run_options import RunOptions

ROOT = Path(__file__).parents[2]
TINY = {"model": "bert-tiny", "topology": "v5e:2x2"}
MODEL = RunOptions("model", "2x2")


# ---- what is asked ----


def test_a_topology_has_chips_and_memory():
    assert find_topology("v5e:16x16").chips == 256
    assert find_topology("v5p:2x2x1").chips == 4
    assert find_topology("v6e:2x2").kind.hbm_bytes > find_topology("v5e:2x2").kind.hbm_bytes


@pytest.mark.parametrize("name", ["v5e:3x3", "v9:2x2", "v5p:2x2", "v5e"])
def test_a_topology_that_does_not_exist_is_refused_with_those_that_do(name):
    with pytest.raises(PlanError, match=r"no topology .*v5e: 1x1, 2x2.*v5p: 2x2x1.*v6e"):
        Request("bert-tiny", name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"run_options": RunOptions("model", "4x2")}, "has 8 devices, but v5e:2x2 has 4"),
        ({"run_options": RunOptions("none")}, "has 4 chips, which need `distribution`"),
        ({"accumulate": 0}, "`accumulate` must be positive"),
        ({"precision": "int8"}, "`precision` must be one of"),
    ],
)
def test_contradictory_settings_are_refused(options, message):
    with pytest.raises(PlanError, match=message):
        Request(**TINY, **options)


def test_all_errors_are_reported_together():
    with pytest.raises(PlanError, match=r"accumulate.*precision.*no topology"):
        Request("bert-tiny", "v5e:7x7", accumulate=0, precision="int8")


def test_indivisible_batch_is_refused_with_a_suggestion():
    with pytest.raises(PlanError, match=r"9 rows of 512 tokens.*4 chips.*choose 4096"):
        Request(**TINY, batch_tokens=5000).rows(512)
    with pytest.raises(PlanError, match=r"times 3 accumulated parts: choose 6144"):
        Request(**TINY, batch_tokens=5000, accumulate=3).rows(512)
    assert Request(**TINY, batch_tokens=4096).rows(512) == 8
    assert Request(**TINY).rows(512) == 4 * TOKENS_PER_REPLICA // 512
    assert Request(**TINY, run_options=MODEL).rows(512) == 2 * TOKENS_PER_REPLICA // 512


def test_a_request_survives_json():
    asked = Request(**TINY, run_options=RunOptions("model", "2x2", remat=True), dropout=0.1)
    assert Request.from_json(json.loads(json.dumps(asked.to_json()))) == asked


def test_an_unknown_preset_is_refused_with_those_that_are_known():
    with pytest.raises(PlanError, match=r"bert-base.*gpt2-base.*transformer-big"):
        trainings.find_subject(Request("bert-huge", "v5e:2x2"))


# ---- what is counted ----


def test_flops_are_six_per_weight_and_token_and_the_attention():
    from keras_attn.models import GPT2, Bert, CausalLM, MaskedLM, Transformer

    sizes = {"num_layers": 2, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16}
    rows, length, vocabulary = 3, 10, 11

    def matrices(model):
        # Of blocks: kernels of two dimensions, and of three by heads.
        return sum(
            np.prod(v.shape)
            for v in model.trainable_variables
            if "_layer_" in v.path and v.path.endswith("kernel")
        )

    def attention(number):
        return 3 * number * 4 * rows * length * length * 8

    causal = CausalLM(GPT2(vocabulary, **sizes))
    expected = 6 * rows * length * (matrices(causal) + vocabulary * 8) + attention(2)
    assert counting.training_flops(causal, rows, length) == expected

    masked = MaskedLM(Bert(vocabulary, **sizes, pooler=False))
    expected = 6 * rows * length * matrices(masked) + attention(2) + 6 * rows * 2 * (vocabulary * 8 + 8 * 8)
    assert counting.training_flops(masked, rows, length, positions=2) == expected

    both = Transformer(vocabulary, hidden_dim=8, intermediate_dim=16, num_heads=2, num_encoder_layers=2)
    expected = 6 * rows * length * (matrices(both) + vocabulary * 8) + attention(2 + 2 * 4)
    assert counting.training_flops(both, rows, length) == expected


def test_every_preset_has_a_count():
    names = trainings.known_presets()
    assert {"bert-base", "bert-large", "gpt2-base", "transformer-big", "gpt3-small"} <= set(names)


# ---- what is read ----

HLO = """
  %all-reduce.1 = (bf16[8,128]{1,0:T(8,128)(2,1)}, f32[]{:T(128)}) all-reduce(%a, %b), metadata={op_name="x"}
  ROOT %all-gather-start.2 = (f32[4]{0}, f32[16]{0}) all-gather-start(%c), dimensions={0}, \
metadata={op_name="jit(train_step)/jvp(bert)/encoder_layer_0/gather"}
  %all-gather-done.2 = f32[16]{0} all-gather-done(%all-gather-start.2)
  %splash_mha_fwd.3 = f32[4]{0} custom-call(%d), custom_call_target="tpu_custom_call"
  %fusion.4 = f32[4]{0} fusion(%all-reduce.1), calls=%e
"""


def test_collectives_are_read_with_their_bytes():
    assert program.collectives_of(HLO) == {
        "all-gather": {"count": 1, "bytes": 64, "in_blocks": 1},
        "all-reduce": {"count": 1, "bytes": 2 * 8 * 128 + 4, "in_blocks": 0},
    }


def test_kernels_are_read():
    assert program.kernels_of(HLO) == {"splash": 1}


def test_the_compilers_message_is_read():
    message = (
        "RESOURCE_EXHAUSTED: Ran out of memory. Used 18.50G of 15.75G hbm. Exceeded hbm capacity by 2.75G."
    )
    assert program.memory_in_message(message, 2**30) == (int(18.5 * 2**30), int(15.75 * 2**30))
    message = "the total memory required for HLO temporaries (28.80G) exceeds available HBM (15.75G)."
    assert program.memory_in_message(message, 2**30) == (round(29.8 * 2**30), int(15.75 * 2**30))
    assert program.memory_in_message("something else", 2**30) is None


# ---- the verdict ----


def figures(**changes):
    found = {
        "method": "compiled",
        "bytes_per_chip": 30 * 2**30,
        "hbm_bytes": 16 * 2**30,
        "state_bytes": 2 * 2**30,
        "fixed_bytes": 3 * 2**30,
        "rows": 64,
        "sequence": 512,
        "vocabulary_size": 30522,
        "attention": {"name": "explicit", "reason": "Attention weights are dropped in training"},
        "precision": "bfloat16",
    }
    return {**found, **changes}


def test_excess_memory_is_reported_with_remedies():
    judged = verdict.judge(Request(**TINY), figures())
    assert not judged["fits"]
    assert "30.00 GiB of the 16.00 GiB" in judged["verdict"] and "by 14.00 GiB" in judged["verdict"]
    advice = " ".join(judged["advice"])
    # 13 of 27 GiB are left to what grows with the batch: 28 of the 64 rows, or 4 parts of 16 rows a chip.
    for option in (
        "--batch-tokens 14336",
        "--accumulate 4",
        "--remat",
        "--shard-optimizer",
        "--attention-dropout",
    ):
        assert option in advice


def test_fitting_plans_have_no_advice():
    judged = verdict.judge(Request(**TINY), figures(bytes_per_chip=2**30))
    assert judged["fits"] and not judged["advice"] and "15.00 GiB to spare" in judged["verdict"]


def test_indivisible_vocabulary_is_reported_even_if_it_fits():
    judged = verdict.judge(
        Request(**TINY, run_options=MODEL), figures(bytes_per_chip=1, vocabulary_size=50257)
    )
    assert judged["fits"] and "make it 50304" in judged["advice"][0]


def test_too_large_model_should_be_sharded():
    judged = verdict.judge(Request(**TINY), figures(fixed_bytes=20 * 2**30))
    assert "--distribution model --mesh 2x2" in " ".join(judged["advice"])


# ---- lowering, and the command ----


@pytest.fixture(scope="module")
def estimated():
    asked = Request(**TINY, run_options=MODEL, sequence=32, batch_tokens=256, vocabulary_size=512)
    return compiling.plan(asked, estimate=True)


def test_without_a_compiler_memory_is_estimated_from_the_lowered_step(estimated):
    assert estimated["method"] == "estimated" and estimated["reason"] == "as asked"
    assert estimated["rows"] == 8
    assert estimated["bytes_per_chip"] == estimated["estimated_bytes"] > estimated["fixed_bytes"]
    # Half of the matrices, Adam's two moments: less than three copies of all weights in float32.
    assert 6 * estimated["parameters"] < estimated["state_bytes"] < 12 * estimated["parameters"]
    assert 0.95 < estimated["flops_per_chip"] / estimated["theoretical_flops_per_chip"] < 1.35
    assert estimated["collectives"] is None


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder of a classifier, as a training writes it at its start."""
    from tiny_encoders import encoder_tokenizer

    from keras_attn.models import Bert, TextClassifier
    from keras_attn.training import ClassificationConfig, run_folder

    folder = tmp_path_factory.mktemp("run")
    sizes = {"num_layers": 2, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 32}
    model = TextClassifier(Bert(300, **sizes, name="bert"), ["bad", "good"], name="classifier")
    config = ClassificationConfig(train="a.csv", max_tokens=24, layer_decay=0.9, freeze_layers=1)
    run_folder.write_tokenizer(folder, encoder_tokenizer().tokenizer)
    described = {
        "format_version": run_folder.FORMAT_VERSION,
        "task": "classification",
        "model": {"class_name": "TextClassifier", "config": model.get_config()},
        "special_ids": {"pad": 0, "unknown": 1, "cls": 2, "sep": 3, "mask": 4},
        "training": dataclasses.asdict(config),
    }
    run_folder.write_config(folder, described)
    return folder


def test_a_run_is_planned_as_it_was_trained(run):
    found = compiling.plan(Request(str(run), "v5e:2x2", batch_tokens=24 * 8), estimate=True)
    assert (found["rows"], found["sequence"], found["precision"]) == (8, 24, "float32")
    # The tables and the first layer are frozen: what is left is the second layer, the pooler and the output.
    layer = 4 * (16 * 16 + 16) + (16 * 32 + 32) + (32 * 16 + 16) + 2 * 2 * 16
    assert found["parameters"] == layer + (16 * 16 + 16) + (16 * 2 + 2)
    assert [path.name for path in sorted(run.iterdir())] == ["run.json", "tokenizer.json"]


def test_options_decided_by_a_run_are_refused(run):
    with pytest.raises(PlanError, match=r"`dropout` cannot be chosen for the run"):
        trainings.find_subject(Request(str(run), "v5e:2x2", dropout=0.1))


def test_a_mesh_that_does_not_divide_the_model_is_refused():
    asked = Request("bert-tiny", "v5e:2x2", RunOptions("model", "1x4"), sequence=32)
    with pytest.raises(PlanError, match=r"`num_heads` 2 is not divided by 4 devices"):
        compiling.plan(asked, estimate=True)


def test_missing_libtpu_is_reported_and_the_step_estimated(monkeypatch, tmp_path):
    monkeypatch.setattr(compiling, "LIBTPU", tmp_path / "nothing")
    asked = Request(**TINY, sequence=16, batch_tokens=256, vocabulary_size=64, attention_dropout=0.0)
    found = compiling.plan(asked)
    if found["method"] == "compiled":
        pytest.skip("libtpu is installed among the packages")
    assert "libtpu is not installed: pip install 'keras-attn[tpu]'" in found["reason"]
    assert found["attention"]["name"] == "splash" and found["kernels"]["splash"] > 0


@pytest.mark.parametrize(("needed", "code"), [(2**30, 0), (30 * 2**30, 1)])
def test_the_command_prints_one_object_and_its_code_is_the_verdict(
    estimated, monkeypatch, capsys, tmp_path, needed, code
):
    monkeypatch.setattr(compiling, "plan", lambda request, estimate: {**estimated, "bytes_per_chip": needed})
    words = ["plan", "bert-tiny", "--topology", "v5e:2x2", "--output", str(tmp_path / "plan.json"), "--json"]
    assert cli.run_program(words) == code
    found = json.loads(capsys.readouterr().out)
    contract = {
        "fits", "bytes_per_chip", "hbm_bytes", "flops_per_chip", "theoretical_flops_per_chip", "collectives",
        "compile_seconds",
    }  # fmt: skip
    assert contract <= set(found) and found["fits"] is (code == 0)
    assert json.loads((tmp_path / "plan.json").read_text()) == found


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bert-tiny", "--topology", "v5e:3x3"], "There is no topology 'v5e:3x3'"),
        (["bert-tiny", "--topology", "v5e:2x2", "--distribution", "model"], "needs a `mesh`"),
        (["bert-tiny", "--topology", "v5e:2x2", "--mesh", "2x"], "`mesh` must be devices"),
        (["bert-tiny", "--topology", "v5e:2x2", "--mesh", "8"], "`mesh` 8 has 8 devices"),
    ],
)
def test_bad_input_is_one_line_and_2(words, message, capsys):
    assert cli.run_program(["plan", *words]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_the_table_in_the_docs_is_that_of_the_plans():
    spec = importlib.util.spec_from_file_location("plan_table", ROOT / "tools" / "plan_table.py")
    assert spec is not None and spec.loader is not None
    plan_table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plan_table)
    assert plan_table.PAGE.read_text("utf-8") == plan_table.page(), "docs/plan.md is old: run `make docs`"
