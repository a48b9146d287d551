"""Score labels by log-likelihood: the probability of each label's answer after a prompt.

Prompts are batched by length and padded on the left, so that the last position of every row predicts the answer and
no other position needs the output head.
"""

from contextlib import contextmanager

import numpy as np


def batches(lengths, tokens_per_batch: int, extra: int = 0) -> list[list[int]]:
    """Group items of similar length, the longest first.

    Parameters
    ----------
    lengths
        Number of tokens of each item.
    tokens_per_batch
        Maximal number of tokens per batch, padding included; a longer item is a batch of its own.
    extra
        Number of tokens added to every item, such as those to be generated.

    Returns
    -------
    Indices of each batch's items. With the longest first, a batch that does not fit into memory fails at once, and
    the remaining time is over- rather than underestimated.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    groups: list[list[int]] = []
    for i in order:
        if groups and (lengths[groups[-1][0]] + extra) * (len(groups[-1]) + 1) <= tokens_per_batch:
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups


def pad_left(rows: list[list[int]], pad: int, device):
    """Pad a batch on the left to token ids, attention mask and position ids, each of shape (rows, longest).

    Positions count from 0 at each row's first token, as they would without padding.
    """
    import torch

    longest = max(len(row) for row in rows)
    ids = torch.tensor([[pad] * (longest - len(row)) + row for row in rows], device=device)
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=device)
    return ids, mask, (mask.cumsum(1) - 1).clamp(min=0)


def first_tokens_differ(answers: list[list[int]]) -> bool:
    """Check that the labels differ in their first token, so that one forward pass per item decides between them."""
    return len({answer[0] for answer in answers}) == len(answers)


def score(
    model,
    tokenizer,
    prompts: list[list[int]],
    answers: list[list[int]],
    tokens_per_batch: int = 4096,
    progress=None,
    share: tuple[int, int] = (0, 1),
) -> np.ndarray:
    """Compute the natural log-probability of each label's answer after each prompt.

    If the labels differ in their first token, it is that token's: the rest of an answer adds nothing to the choice.
    Otherwise it is that of the whole answer, its end token included, so that a label that begins another
    (``no`` and ``no stress``) is compared fairly.

    Parameters
    ----------
    model
        Causal language model of transformers, with or without an adapter. Its mode (training or evaluation) is
        restored afterwards.
    tokenizer
        Tokenizer, for its padding token.
    prompts
        Token ids of n prompts, none empty.
    answers
        Token ids of the labels' answers, each with its end token.
    tokens_per_batch
        Padded tokens per forward pass. It changes speed and memory; log-probabilities change by rounding only,
        below 1e-4 in float32.
    progress
        Title of the progress bar; None shows none.
    share
        (index, number) of this process among those that share the batches. Rows of the other processes' batches
        stay 0, so that the sum over the processes equals the result of a single one.

    Returns
    -------
    Array of float64, (n prompts, n labels).
    """
    import torch
    from tqdm import tqdm

    device = next(model.parameters()).device
    result = np.zeros((len(prompts), len(answers)))
    score_batch = _first_token if first_tokens_differ(answers) else _whole_answer
    was_training = model.training
    model.eval()
    try:
        with (
            torch.no_grad(),
            _float32_head(model),
            tqdm(total=len(prompts), desc=progress, unit="item", disable=progress is None) as bar,
        ):
            index, processes = share
            for group in batches([len(prompt) for prompt in prompts], tokens_per_batch)[index::processes]:
                batch = pad_left([prompts[i] for i in group], tokenizer.pad_token_id, device)
                result[group] = score_batch(model, batch, answers).double().cpu().numpy()
                bar.update(len(group))
    finally:
        model.train(was_training)
    return result


def _first_token(model, batch, answers):
    """Log-probabilities of each label's first token, (rows, labels)."""
    ids, mask, positions = batch
    logits = model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False, logits_to_keep=1).logits
    return logits[:, -1].float().log_softmax(-1)[:, [answer[0] for answer in answers]]


def _whole_answer(model, batch, answers):
    """Log-probabilities of whole answers, (rows, labels): the prompts once, then each answer on their cache."""
    import copy

    import torch

    ids, mask, positions = batch
    out = model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=True, logits_to_keep=1)
    first = out.logits[:, -1].float().log_softmax(-1)
    columns = []
    for answer in answers:
        total = first[:, answer[0]]
        if len(answer) > 1:
            rest = torch.tensor([answer[1:]], device=ids.device).expand(len(ids), -1)
            fed = torch.tensor([answer[:-1]], device=ids.device).expand(len(ids), -1)
            steps = torch.arange(1, len(answer), device=ids.device)
            logits = model(
                input_ids=fed,
                attention_mask=torch.cat([mask, torch.ones_like(fed)], 1),
                position_ids=positions[:, -1:] + steps,
                # A forward pass appends to the cache, and every answer needs the cache of the prompts only.
                past_key_values=copy.deepcopy(out.past_key_values),
                use_cache=True,
            ).logits
            total = total + logits.float().log_softmax(-1).gather(2, rest[:, :, None])[:, :, 0].sum(1)
        columns.append(total)
    return torch.stack(columns, 1)


@contextmanager
def _float32_head(model, rows: int = 16384):
    """Compute the output head of a bfloat16 model in float32, `rows` of its vocabulary at a time.

    bfloat16 keeps 8 bits: two labels' logits around 20 are 0.125 apart or equal, and a tie would go to the label
    that is declared first.
    """
    import torch

    head = model.get_output_embeddings()
    if type(head) is not torch.nn.Linear or head.weight.dtype == torch.float32:
        yield
        return

    def in_float32(module, inputs, output):
        hidden = inputs[0].float()
        logits = torch.cat([hidden @ part.float().T for part in module.weight.split(rows)], -1)
        return logits if module.bias is None else logits + module.bias.float()

    hook = head.register_forward_hook(in_float32)
    try:
        yield
    finally:
        hook.remove()
