"""Kept output of frozen layers: the same bits as computing it, whatever was kept before, for every kind of decoder."""

from types import SimpleNamespace

import pytest
import torch
from peft import LoraConfig, get_peft_model

from stagewise.models import frozen_layers
from stagewise.models.frozen_layers import FrozenLayers, KeptLayers, decoder_layers, frozen_layer_count
from stagewise.models.token_tree import Branches, TokenTree

SHAPE = {
    "vocab_size": 352,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.2,
    "pad_token_id": 2,
    "eos_token_id": 2,
}
IDENTITY = {"model": "f" * 64, "quantization": "none"}
ITEMS = [TokenTree(tuple(range(5, 5 + n))) for n in (9, 4, 17)]


def build(name: str, **shape):
    from transformers import AutoModelForCausalLM, Gemma2Config, Gemma3TextConfig, GPT2Config, LlamaConfig, Qwen2Config

    windows = {"head_dim": 8, "sliding_window": 6}
    config = {
        "Llama": LlamaConfig(**(SHAPE | shape)),
        "Qwen2": Qwen2Config(**SHAPE),
        "Gemma2": Gemma2Config(**SHAPE, **windows),
        "Gemma3": Gemma3TextConfig(**SHAPE, **windows),
        "GPT-2": GPT2Config(vocab_size=352, n_embd=32, n_layer=3, n_head=4, initializer_range=0.2),
    }[name]
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config).eval()


def adapted(model, layers=(1, 2), **settings):
    torch.manual_seed(1)
    targets = ["c_attn"] if hasattr(model, "transformer") else ["q_proj", "v_proj"]
    config = LoraConfig(r=4, target_modules=targets, layers_to_transform=layers, init_lora_weights=False, **settings)
    return get_peft_model(model, config).eval()


def kept(folder, limit=10**6, last_layers=None) -> KeptLayers:
    return KeptLayers(folder, limit, last_layers)


def logits(model, item: TokenTree):
    with torch.no_grad():
        return model(input_ids=torch.tensor([item.prompt]), use_cache=False).logits


@pytest.mark.parametrize("name", ["Llama", "Qwen2", "Gemma2", "Gemma3", "GPT-2"])
def test_what_is_replayed_is_what_is_computed_to_the_bit(tmp_path, name):
    model = adapted(build(name))
    layers = FrozenLayers.open(model, kept(tmp_path), IDENTITY)
    for item in ITEMS:
        expected = logits(model, item)
        with layers.replayed([item], len(item)):
            assert torch.equal(logits(model, item), expected)
        assert torch.equal(logits(model, item), expected), "outside the block the model is a whole one"
    assert all("forward" not in vars(layer) for layer in decoder_layers(model))


def test_neither_lower_nor_upper_layers_are_computed_twice(tmp_path):
    model = adapted(build("Llama"), (2,))
    layers = FrozenLayers.open(model, kept(tmp_path), IDENTITY)
    calls = [0, 0, 0]
    for n, layer in enumerate(decoder_layers(model)):
        layer.self_attn.register_forward_hook(lambda *_, n=n: calls.__setitem__(n, calls[n] + 1))
    layers.states(ITEMS)
    assert calls == [3, 3, 0]
    for item in ITEMS:
        with layers.replayed([item], len(item)):
            logits(model, item)
    assert calls == [3, 3, 3]


def test_states_are_those_of_an_item_alone_whatever_was_kept(tmp_path):
    """In memory, on disk or new, beside others or not; a bfloat16 model too."""
    model = adapted(build("Llama")).to(torch.bfloat16)
    alone = [FrozenLayers.open(model, kept(tmp_path / str(n)), IDENTITY).states([i])[0] for n, i in enumerate(ITEMS)]
    together = FrozenLayers.open(model, kept(tmp_path / "together"), IDENTITY)
    together.states(ITEMS[:1])
    together.release()
    (file,) = (tmp_path / "together").glob("*/*.safetensors")
    for layers in (together, FrozenLayers.open(model, kept(tmp_path / "together"), IDENTITY)):
        states = layers.states([*ITEMS, ITEMS[0]])
        assert all(map(torch.equal, states, [*alone, alone[0]]))
        assert states[0].dtype == torch.bfloat16
    assert file.exists()


def test_the_mode_and_the_random_numbers_stay(tmp_path):
    model = adapted(build("Llama"), lora_dropout=0.5).train()
    state = torch.random.get_rng_state()
    layers = FrozenLayers.open(model, kept(tmp_path), IDENTITY, training=True)
    layers.states(ITEMS)
    assert model.training and all(module.training for module in model.modules())
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_batch_is_padded_on_either_side(tmp_path):
    model = adapted(build("Llama"))
    layers = FrozenLayers.open(model, kept(tmp_path), IDENTITY)
    for side in ("left", "right"):
        batches = []
        handle = decoder_layers(model)[1].register_forward_pre_hook(lambda _, args, into=batches: into.append(args[0]))
        with layers.replayed(ITEMS, 20, side), torch.no_grad():
            model(input_ids=torch.ones(3, 20, dtype=torch.long), use_cache=False)
        handle.remove()
        for row, item, states in zip(batches[0], ITEMS, layers.states(ITEMS), strict=True):
            filled = row[: len(item)] if side == "right" else row[-len(item) :]
            assert torch.equal(filled, states) and float(row.abs().sum()) == float(states.abs().sum())


def test_branches_and_order_are_part_of_an_items_key():
    trees = [
        TokenTree((5, 6)),
        TokenTree((5, 6), Branches((7,), (-1,))),
        TokenTree((5, 6, 7)),
        TokenTree((5, 6), Branches((7, 8), (-1, -1))),
        TokenTree((5, 6), Branches((7, 8), (-1, 0))),
        TokenTree((6, 5)),
    ]
    assert len({tree.key for tree in trees}) == len(trees)
    assert trees[0].key == TokenTree((5, 6), Branches()).key


def test_layers_below_the_first_adapted_one_are_frozen():
    assert frozen_layer_count(adapted(build("Llama"), (1, 2))) == 1
    assert frozen_layer_count(adapted(build("Llama"), (2,))) == 2
    assert frozen_layer_count(adapted(build("Llama"), None)) == 0
    base = build("Llama")
    assert [frozen_layer_count(base, last) for last in (None, 1, 3, 5)] == [0, 2, 0, 0]
    everywhere = get_peft_model(base, LoraConfig(r=4, target_modules=["model.layers.2.mlp.up_proj", "embed_tokens"]))
    assert frozen_layer_count(everywhere) == 0, "embeddings with an adapter change what is below"


def test_an_adapter_on_upper_layers_and_the_base_model_share_states(tmp_path):
    model = adapted(build("Llama"))
    layers = FrozenLayers.open(model, kept(tmp_path), IDENTITY)
    states = layers.states(ITEMS)
    layers.flush()
    base = FrozenLayers.open(build("Llama"), kept(tmp_path, last_layers=2), IDENTITY)
    base._compute = None  # what is kept is enough
    assert all(map(torch.equal, base.states(ITEMS), states))


def test_the_number_of_threads_decides_nothing(tmp_path):
    one, two = (threaded_states(tmp_path / str(threads), threads) for threads in (1, 2))
    assert one[0].name == two[0].name and all(map(torch.equal, one[1], two[1]))


def threaded_states(folder, threads: int):
    """States of a model wide enough for several threads, and the folder that they are kept in."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        model = adapted(build("Llama", hidden_size=512, intermediate_size=1024))
        layers = FrozenLayers.open(model, kept(folder, 10**8), IDENTITY)
        states = layers.states([TokenTree(tuple(range(3 + n, 90 + n))) for n in range(5)])
        assert torch.get_num_threads() == threads
        return layers.files.folder, states
    finally:
        torch.set_num_threads(before)


def test_rotary_embeddings_that_grow_are_computed_one_item_at_a_time():
    growing = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    assert frozen_layers._remembers_lengths(build("Llama", rope_parameters=growing))
    assert not frozen_layers._remembers_lengths(build("Llama"))


def test_another_model_type_or_depth_has_states_of_its_own(tmp_path):
    cases = [
        (adapted(build("Llama")), IDENTITY),
        (adapted(build("Llama")), IDENTITY | {"model": "e" * 64}),
        (adapted(build("Llama")), IDENTITY | {"quantization": "nf4"}),
        (adapted(build("Llama")).bfloat16(), IDENTITY),
        (adapted(build("Llama"), (2,)), IDENTITY),
    ]
    folders = [FrozenLayers.open(model, kept(tmp_path), identity).files.folder for model, identity in cases]
    assert len(set(folders)) == len(cases) and {folder.parent for folder in folders} == {tmp_path}


def test_nothing_is_kept_where_it_would_change_a_result_or_not_pay(tmp_path, monkeypatch):
    model = adapted(build("Llama"))
    assert FrozenLayers.open(model, None, IDENTITY) is None
    assert FrozenLayers.open(adapted(build("Llama"), None), kept(tmp_path), IDENTITY) is None
    monkeypatch.setattr(type(model), "device", SimpleNamespace(type="cuda"), raising=False)
    assert FrozenLayers.open(model, kept(tmp_path), IDENTITY) is None
    monkeypatch.undo()
    # GPT-2's own dropout acts in the frozen layers while it trains.
    gpt2 = adapted(build("GPT-2"))
    assert FrozenLayers.open(gpt2, kept(tmp_path), IDENTITY, training=True) is None
    assert FrozenLayers.open(gpt2, kept(tmp_path), IDENTITY) is not None


def test_a_model_whose_upper_layers_look_below_is_left_alone(tmp_path):
    model = adapted(build("Llama"))
    seen = []
    first, last = decoder_layers(model)[0], decoder_layers(model)[-1]
    first.self_attn.register_forward_hook(lambda _, args, output: seen.append(output[0]))
    last.register_forward_hook(lambda _, args, output: output + (seen.pop() if seen else 0))
    assert FrozenLayers.open(model, kept(tmp_path), IDENTITY) is None


def test_the_bound_is_of_the_bytes_that_items_need(tmp_path):
    layers = FrozenLayers.open(adapted(build("Llama")), kept(tmp_path, 32 * 4 * 100), IDENTITY)
    assert layers.fits(100) and not layers.fits(101)
    halves = FrozenLayers.open(adapted(build("Llama")).bfloat16(), kept(tmp_path, 32 * 4 * 100), IDENTITY)
    assert halves.fits(200) and not halves.fits(201)


def test_options_of_a_step(tmp_path):
    import argparse

    parser = argparse.ArgumentParser()
    frozen_layers.add_frozen_layers(parser)
    parser.add_argument("--checkpoints")
    there = ["--checkpoints", str(tmp_path)]
    read = lambda *argv: frozen_layers.kept_layers(parser.parse_args([*argv]), 3)  # noqa: E731
    assert read(*there) == KeptLayers(tmp_path / "frozen_layers", 2 * 10**9, 3)
    assert read(*there, "--frozen-layers-mb", "5") == KeptLayers(tmp_path / "frozen_layers", 5 * 10**6, 3)
    assert read(*there, "--frozen-layers-mb", "0") is None and read() is None
