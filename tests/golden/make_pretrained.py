"""Write tiny random Hugging Face checkpoints with their outputs: `python tests/golden/make_pretrained.py`.

Needs the `parity` extra. The default tier of the tests reads what it wrote, without torch.
"""

from pathlib import Path

import numpy as np
import torch
import transformers

FOLDER = Path(__file__).parent
SIZES = {"vocab_size": 40, "max_position_embeddings": 12}
MODELS = {
    "bert": transformers.BertConfig(
        **SIZES, hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=10
    ),
    "distilbert": transformers.DistilBertConfig(**SIZES, dim=12, n_layers=2, n_heads=2, hidden_dim=10),
}

for name, config in MODELS.items():
    torch.manual_seed(0)
    model = transformers.AutoModel.from_config(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(FOLDER / name)
    ids = torch.randint(4, 40, (3, 9))
    mask = torch.arange(9)[None] < torch.tensor([[9], [5], [1]])
    with torch.no_grad():
        found = model(input_ids=ids, attention_mask=mask.long())
    outputs = {"sequence_output": found.last_hidden_state.numpy()}
    if "pooler_output" in found:
        outputs["pooled_output"] = found.pooler_output.numpy()
    np.savez(FOLDER / name / "expected.npz", token_ids=ids.numpy(), padding_mask=mask.numpy(), **outputs)
