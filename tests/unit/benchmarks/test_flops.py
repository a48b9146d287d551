"""Operations of passes, against counts by hand and by PyTorch."""

import pytest

from benchmarks.flops import Shape, forward_flops, head_flops, lora_flops, share_of_rate, training_flops
from benchmarks.matrix_rate import EMBEDDED, stage_flops

TINY = Shape(hidden=64, intermediate=128, layers=2, heads=4, key_value_heads=2, vocabulary=352, head_size=16)


def test_sizes_are_read_from_a_model_s_configuration():
    config = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    assert Shape.of(config | {"num_key_value_heads": 2, "vocab_size": 352}) == TINY
    assert Shape.of(config | {"vocab_size": 352, "head_dim": 8}).head_size == 8


def test_the_embedded_model_has_the_weights_that_its_name_says():
    assert 30 * EMBEDDED.layer_weights == 106_168_320
    assert 30 * EMBEDDED.layer_weights + EMBEDDED.hidden * EMBEDDED.vocabulary == pytest.approx(135e6, rel=0.01)


def test_a_forward_pass_takes_as_many_operations_as_pytorch_counts():
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from tests.helpers.tiny_llama import build_model

    model, length = build_model(), 24
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(input_ids=torch.ones(1, length, dtype=torch.long), logits_to_keep=1)
    # It does not count fused attention on a CPU.
    assert counter.get_total_flops() == length * forward_flops(TINY, 0) + head_flops(TINY, 1)
    # Scores and weighted values of half of all pairs of positions, in both layers.
    assert forward_flops(TINY, length) - forward_flops(TINY, 0) == 2 * (2 * 2 * 64 * length / 2)


def test_a_training_step_goes_back_through_the_adapted_layers_alone():
    forward, lora = forward_flops(TINY, 10), 2 * 4 * sum(a + b for a, b in TINY.products)
    assert lora_flops(TINY, 4) == lora
    assert training_flops(TINY, 10, 4) == 2 * forward + 2 * 3 * lora
    assert training_flops(TINY, 10, 4, adapted=1) == forward / 2 + forward + 3 * lora
    assert training_flops(TINY, 10, 4, adapted=1, frozen_kept=True) == forward + 3 * lora


def test_kept_layers_count_once_in_all_epochs():
    run = {"tokens": 96 * 4 * 82, "steps": 96}
    plain, kept = stage_flops(EMBEDDED, run), stage_flops(EMBEDDED, run | {"lower_layers_kept": True})
    assert plain - kept == pytest.approx(forward_flops(EMBEDDED, 82, 20) * 2 / 3)
    # speed.md of this shape: some 300 million a token.
    assert plain == pytest.approx(300e6, rel=0.05)


def test_a_share_is_operations_done_over_operations_possible():
    assert share_of_rate(500, 300e6, 300) == pytest.approx(0.5)
