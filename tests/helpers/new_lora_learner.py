"""The tiny model with a new LoRA beside its parent's, whose directions a remedy chooses."""

from stagewise.config.training import Lora
from stagewise.models.adapters import load_adapter
from stagewise.models.load import load_base, load_tokenizer
from stagewise.remedies.base import StartContext, TrainingContext
from stagewise.training.new_lora import FrozenParent, add_new_lora

LORA = Lora(r=3, alpha=6, dropout=0, target_modules=["q_proj", "k_proj", "o_proj", "down_proj"])
EARLIER = ["The trial found no difference.", "I cannot sleep and I worry.", "yes"]
"""Texts of the earlier task, of different lengths."""
LATER = "Question: does the treatment help many people at the lake? Answer maybe."
"""Text that is learnt."""


class NewLoraLearner:
    """The model and its hooks, in the order of `stagewise.training.stage_data.training_hooks`."""

    def __init__(self, folder, tiny_model, parent, remedy, quantization="none", lora=LORA, texts=EARLIER):
        base = load_base(tiny_model, quantization, "float32")
        wider = add_new_lora(parent, folder / "new-lora", base, lora, seed=0)
        adapter = remedy.start(StartContext(wider, folder / "start", base, lora, 0))
        self.model = load_adapter(base, adapter, trainable=True)
        self.tokenizer = load_tokenizer(tiny_model)
        rows = [{"input_ids": self.tokenizer(text)["input_ids"], "task": "first"} for text in texts]
        context = TrainingContext(self.model, self.tokenizer, [], {"first": rows}, {}, 0, lora)
        self.hooks = [remedy.hook(context), FrozenParent(self.model, lora.r)]

    def learn(self, steps: int = 5) -> None:
        """Take steps with weight decay on `LATER`."""
        import torch

        optimizer = torch.optim.AdamW((p for p in self.model.parameters() if p.requires_grad), 0.05, weight_decay=0.1)
        ids = torch.tensor([self.tokenizer(LATER)["input_ids"]])
        for _ in range(steps):
            self.model(ids, labels=ids).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            for hook in self.hooks:
                hook.after_step()
