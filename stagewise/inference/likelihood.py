"""Score labels by log-likelihood: the probability of each label's answer after a prompt.

Prompts are batched by length and padded on the left, so that the last position of every row predicts the answer and
no other position needs the output head. The answers follow in short passes on the prompts' cache.
"""

import copy
from contextlib import contextmanager

import numpy as np

from stagewise.models.load import compute_context


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

    It is that of the whole answer, its end token included: the sum over the answer's tokens of log p(token | prompt,
    earlier tokens of the answer). The first token alone would count every text that begins with it, such as ``no
    stress`` as ``no``.

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
        Padded tokens per forward pass, those of the cache included. It changes speed and memory; log-probabilities
        change by rounding only, below 1e-4 in float32.
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
    was_training = model.training
    model.eval()
    try:
        with (
            torch.no_grad(),
            compute_context(model),
            float32_head(model),
            tqdm(total=len(prompts), desc=progress, unit="item", disable=progress is None) as bar,
        ):
            index, processes = share
            for group in batches([len(prompt) for prompt in prompts], tokens_per_batch)[index::processes]:
                batch = pad_left([prompts[i] for i in group], tokenizer.pad_token_id, device)
                result[group] = _score_batch(model, batch, answers, tokens_per_batch).double().cpu().numpy()
                bar.update(len(group))
    finally:
        model.train(was_training)
    return result


def _score_batch(model, batch, answers: list[list[int]], tokens_per_batch: int):
    """Compute the log-probabilities of whole answers, (rows, labels): the prompts once, then the answers after them."""
    import torch

    ids, mask, positions = batch
    out = model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=True, logits_to_keep=1)
    result = out.logits[:, -1].float().log_softmax(-1)[:, [answer[0] for answer in answers]]
    # The shortest answers first, so that those that share a pass are of similar length.
    labels = [n for n in sorted(range(len(answers)), key=lambda n: len(answers[n])) if len(answers[n]) > 1]
    pairs = [(row, label) for label in labels for row in range(len(ids))]
    longest = ids.shape[1] + max(map(len, answers)) - 1
    pairs_per_pass = max(1, tokens_per_batch // longest)
    cache = getattr(out, "past_key_values", None)
    for start in range(0, len(pairs), pairs_per_pass):
        rows, columns = torch.tensor(pairs[start : start + pairs_per_pass], device=ids.device).T
        prompts = ids[rows], mask[rows], positions[rows]
        rest = _score_rest(model, prompts, _select_rows(cache, rows), [answers[n] for n in columns.tolist()])
        result[rows, columns] += rest
    return result


def _score_rest(model, prompts, cache, answers: list[list[int]]):
    """Compute the log-probability of each answer but its first token, (rows,): a row is a prompt and its answer.

    `cache` is that of the prompts, which grows; None reads the prompts again.
    """
    import torch

    ids, mask, positions = prompts
    width = max(map(len, answers)) - 1

    def pad_right(rows: list[list[int]]):
        return torch.tensor([row + [0] * (width - len(row)) for row in rows], device=ids.device)

    fed, targets = pad_right([answer[:-1] for answer in answers]), pad_right([answer[1:] for answer in answers])
    counts = pad_right([[1] * (len(answer) - 1) for answer in answers])  # 0 for padding
    fed_positions = positions[:, -1:] + torch.arange(1, width + 1, device=ids.device)
    if cache is None:
        fed, fed_positions = torch.cat([ids, fed], 1), torch.cat([positions, fed_positions], 1)
    logits = model(
        input_ids=fed,
        attention_mask=torch.cat([mask, counts], 1),
        position_ids=fed_positions,
        past_key_values=cache,
        use_cache=cache is not None,
        logits_to_keep=width,
    ).logits
    logprobs = logits.float().log_softmax(-1).gather(2, targets[:, :, None])[:, :, 0]
    return (logprobs * counts).sum(1)


def _select_rows(cache, rows):
    """Copy rows of a cache, any of them several times; None if the cache is not one of attention alone.

    Recurrent layers keep a state that they change in place, and many of them read one token at a time only.
    """
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    if cache is None or any(type(layer) not in (DynamicLayer, DynamicSlidingWindowLayer) for layer in cache.layers):
        return None
    # These layers replace their tensors when they are reordered and when they grow, so a shallow copy is enough.
    selected = copy.copy(cache)
    selected.layers = [copy.copy(layer) for layer in cache.layers]
    selected.reorder_cache(rows)
    return selected


@contextmanager
def float32_head(model, rows: int = 16384):
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
        with torch.autocast(hidden.device.type, enabled=False):
            logits = torch.cat([hidden @ part.float().T for part in module.weight.split(rows)], -1)
            return logits if module.bias is None else logits + module.bias.float()

    hook = head.register_forward_hook(in_float32)
    try:
        yield
    finally:
        hook.remove()
