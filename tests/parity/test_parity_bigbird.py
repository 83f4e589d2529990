"""BigBird's block-sparse attention against Hugging Face's, with its weights and its random blocks."""

import numpy as np
import pytest
from keras import ops

from keras_attn.layers import BigBirdAttention

pytestmark = pytest.mark.parity

HEADS, KEY_DIM = 2, 4
DEPTH = HEADS * KEY_DIM


def configuration(block_size, num_random_blocks):
    transformers = pytest.importorskip("transformers")
    return transformers.BigBirdConfig(
        vocab_size=20,
        hidden_size=DEPTH,
        num_hidden_layers=1,
        num_attention_heads=HEADS,
        intermediate_size=8,
        block_size=block_size,
        num_random_blocks=num_random_blocks,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


def with_weights_of(attention, config):
    """Our layer with the weights of a Hugging Face attention module, after drawing these anew."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    dense = [attention.self.query, attention.self.key, attention.self.value, attention.output.dense]
    for module in dense:
        torch.nn.init.normal_(module.weight, std=0.35)
        torch.nn.init.normal_(module.bias, std=0.3)
    layer = BigBirdAttention(HEADS, KEY_DIM, config.block_size, config.num_random_blocks)
    layer.build((None, None, DEPTH))
    weights = []
    for module in dense[:3]:
        kernel, bias = module.weight.detach().numpy(), module.bias.detach().numpy()
        weights += [kernel.T.reshape(DEPTH, HEADS, KEY_DIM), bias.reshape(HEADS, KEY_DIM)]
    kernel, bias = dense[3].weight.detach().numpy(), dense[3].bias.detach().numpy()
    weights += [kernel.T.reshape(HEADS, KEY_DIM, DEPTH), bias]
    for variable, weight in zip(layer.trainable_variables, weights, strict=True):
        variable.assign(weight)
    return layer


def numpy(x):
    return np.asarray(ops.convert_to_numpy(x))


@pytest.mark.parametrize("evaluation", [True, False])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("length", "block_size"), [(48, 4), (80, 4), (1024, 64)])
def test_outputs_are_hugging_face_s_given_its_random_blocks(
    length, block_size, masked, evaluation, monkeypatch
):
    torch = pytest.importorskip("torch")
    bigbird = pytest.importorskip("transformers.models.big_bird.modeling_big_bird")
    config = configuration(block_size, num_random_blocks=3)
    attention = bigbird.BigBirdAttention(config, seed=5)
    layer = with_weights_of(attention, config)
    # Only a layer in training draws its blocks; in evaluation all of them are block 0. It has no dropout.
    attention.train(not evaluation)
    seen, create = [], bigbird.BigBirdBlockSparseAttention._create_rand_mask_from_inputs

    def recorded(from_mask, to_mask, rand_attn, *args):
        seen.append(rand_attn[0].numpy())
        return create(from_mask, to_mask, rand_attn, *args)

    monkeypatch.setattr(
        bigbird.BigBirdBlockSparseAttention, "_create_rand_mask_from_inputs", staticmethod(recorded)
    )
    x = np.random.default_rng(1).normal(size=(2, length, DEPTH)).astype(np.float32)
    mask = np.ones((2, length), bool)
    if masked:
        mask[0, length - 2 * block_size - 1 :] = False
        mask[1, -3:] = False
    blocked, band, from_mask, to_mask = bigbird.BigBirdModel.create_masks_for_block_sparse_attn(
        torch.tensor(mask, dtype=torch.float32), block_size
    )
    with torch.no_grad():
        context, _ = attention.self(torch.tensor(x), band, from_mask, to_mask, blocked, blocked)
        expected = attention.output.dense(context).numpy()
    random_blocks = 0 if evaluation else seen[0]
    assert evaluation == (not seen[0].any())
    assert layer.is_sparse(length)
    outputs = layer(x, padding_mask=mask if masked else None, random_blocks=random_blocks)
    np.testing.assert_allclose(numpy(outputs), expected, atol=1e-5)


@pytest.mark.parametrize("length", [20, 28, 30, 50])
def test_hugging_face_s_model_pads_and_turns_dense_where_the_layer_does(length):
    torch = pytest.importorskip("torch")
    bigbird = pytest.importorskip("transformers.models.big_bird.modeling_big_bird")
    config = configuration(block_size=4, num_random_blocks=1)
    model = bigbird.BigBirdModel(config).eval()
    attention = model.encoder.layer[0].attention
    layer = with_weights_of(attention, config)
    calls = []
    attention.register_forward_hook(lambda _, args, outputs: calls.append((args[0], outputs[0])))
    mask = np.ones((2, length), bool)
    mask[1, length - 6 :] = False
    ids = torch.tensor(np.random.default_rng(0).integers(1, 20, (2, length)))
    with torch.no_grad():
        model(ids, attention_mask=torch.tensor(mask.astype(int)))
        inputs, expected = (x[:, :length] for x in calls[0])
        ours = numpy(layer(inputs.numpy(), padding_mask=mask, random_blocks=0))
        outputs = attention.output.LayerNorm(torch.tensor(ours) + inputs)
    assert layer.is_sparse(length) == (attention.attention_type == "block_sparse")
    np.testing.assert_allclose(outputs.numpy(), expected.numpy(), atol=1e-5)
