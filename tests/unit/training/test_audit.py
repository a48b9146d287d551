"""The base model's weights are read once for each training that shares them, and a change is always caught."""

import pytest
import torch

from stagewise.training import audit


@pytest.fixture
def model():
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    model[0].requires_grad_(False)
    return model


def train(model) -> None:
    with torch.no_grad():
        model[1].weight += 1


def test_the_next_training_takes_the_digest_of_the_one_before(model, monkeypatch):
    digests, original = [], audit.weights_digest
    monkeypatch.setattr(audit, "weights_digest", lambda parameters: digests.append(1) or original(parameters))
    with audit.audit_weights(model) as first:
        train(model)
    assert len(digests) == 4
    with audit.audit_weights(model, first.frozen_digest) as second:
        train(model)
    assert len(digests) == 7 and second.frozen_digest == first.frozen_digest


def test_a_change_between_two_trainings_is_caught(model):
    with audit.audit_weights(model) as first:
        train(model)
    with torch.no_grad():
        model[0].weight[0, 0] += 1e-6
    with (
        pytest.raises(RuntimeError, match="base model's weights changed"),
        audit.audit_weights(model, first.frozen_digest),
    ):
        train(model)
