"""Output of the decoder layers below the first adapted one, computed once per item and kept.

No training changes these layers, so their output for an item depends on its tokens, the base model and the compute type
alone: epochs, arms, seeds, validation and predictions share it. It is always computed for one item alone, without
padding and by one thread, so that no bit depends on what was kept before, or on the number of threads. A way to run on
CPUs; on a GPU items one by one would be slow.
"""

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stagewise.models.state_files import StateFiles
from stagewise.models.token_tree import TokenTree, base_model, tree_batch
from stagewise.provenance.fingerprints import fingerprint
from stagewise.provenance.packages import package_versions

_VERSION = 1
"""Version of the states: raise it when the same item gives other ones."""

_PROBE, _OTHER_PROBE = TokenTree(tuple(range(3, 11))), TokenTree(tuple(range(10, 2, -1)))


@dataclass(frozen=True)
class KeptLayers:
    """Folder and bound of the frozen layers' kept output: a way to run, which changes results by rounding only."""

    folder: Path
    """Folder of all models' states."""
    limit: int = 2 * 10**9
    """Bytes that may be kept, in memory and on disk."""
    last_layers: int | None = None
    """Upper layers that adapters of the model change, for a model that has none itself; None keeps nothing then."""


def add_frozen_layers(parser) -> None:
    """Add ``--frozen-layers-mb`` to the options of a step that has ``--checkpoints``."""
    parser.add_argument(
        "--frozen-layers-mb",
        type=int,
        default=KeptLayers.limit // 10**6,
        metavar="MB",
        help="megabytes of the frozen layers' output that may be kept on a CPU (%(default)s); 0 keeps none",
    )


def kept_layers(args, last_layers: int | None = None) -> KeptLayers | None:
    """Read the options of `add_frozen_layers`; None if nothing is to be kept."""
    if not args.checkpoints or args.frozen_layers_mb <= 0:
        return None
    return KeptLayers(Path(args.checkpoints) / "frozen_layers", args.frozen_layers_mb * 10**6, last_layers)


class _Reached(Exception):
    """Raised to end a forward pass after a layer."""

    def __init__(self, output):
        super().__init__()
        self.output = output


class FrozenLayers:
    """The lower layers of a loaded model, and their outputs by item.

    Parameters
    ----------
    model
        Causal language model of transformers, with or without an adapter.
    count
        Number of lower layers that no adapter changes, at least 1.
    limit
        Bytes of hidden states that may be kept.
    files
        States on disk; None keeps them in memory alone.
    """

    def __init__(self, model, count: int, limit: int, files: StateFiles | None = None):
        self.model, self.limit, self.files = model, limit, files
        self._layers = decoder_layers(model)[:count]
        self._kept: dict[str, object] = {}
        self._in_tuple = False

    @classmethod
    def open(cls, model, kept: KeptLayers | None, identity: dict, *, training: bool = False) -> "FrozenLayers | None":
        """Take up what is kept of a model's frozen layers, if that pays and changes nothing.

        Parameters
        ----------
        identity
            Facts that tell the loaded base model from others: its fingerprint and quantization.
        training
            True if the model will be trained: a base model with dropout of its own is then left alone.

        Returns
        -------
        None if nothing is to be kept, on a GPU, if no layer is frozen, or if the model does not compute the same bits
        from kept states.
        """
        import torch

        count = frozen_layer_count(model, kept.last_layers) if kept else 0
        if count < 1 or model.device.type != "cpu":
            return None
        facts = {
            "base": identity,
            "version": _VERSION,
            "layers": count,
            "dtype": str(model.dtype),
            "packages": package_versions(),
            "cpu": torch.backends.cpu.get_cpu_capability(),
        }
        files = StateFiles(kept.folder / fingerprint(facts)[:32], kept.limit)
        opened = cls(model, count, kept.limit, files)
        if training and opened._is_random_in_training():
            return None
        with _single_threads(1) as executor:
            return opened if executor.submit(opened._replays_exactly).result() else None

    def fits(self, tokens: int) -> bool:
        """Tell if the states of so many tokens stay within the limit."""
        hidden = self.model.config.get_text_config().hidden_size
        return tokens * hidden * self.model.dtype.itemsize <= self.limit

    def states(self, trees: list[TokenTree]) -> list:
        """Output of the last frozen layer for each item, shape (tokens, width)."""
        missing = {tree.key: tree for tree in trees if not self._take_up(tree.key)}
        if missing:
            for key, computed in zip(missing, self._compute_each(list(missing.values())), strict=True):
                self._kept[key] = computed
                if self.files:
                    self.files.add(key, computed)
        return [self._kept[tree.key] for tree in trees]

    def release(self) -> None:
        """Forget the states in memory; those on disk stay."""
        self.flush()
        self._kept.clear()

    def flush(self) -> None:
        """Write new states to disk."""
        if self.files:
            self.files.flush()

    @contextmanager
    def replayed(self, trees: list[TokenTree], width: int, side: str = "right"):
        """Take the frozen layers' output from what is kept, in forward passes inside the block.

        Parameters
        ----------
        trees
            The batch's items.
        width
            Positions of the batch; what an item does not fill, on this `side`, holds zeros.
        """
        import torch

        states = self.states(trees)
        batch = torch.zeros(len(states), width, states[0].shape[-1], dtype=states[0].dtype)
        for row, item in zip(batch, states, strict=True):
            row[slice(len(item)) if side == "right" else slice(width - len(item), width)] = item
        with self._replaced(batch):
            yield

    @contextmanager
    def _replaced(self, batch):
        """Let the last frozen layer return `batch` (rows, positions, width), and those below it what they are given."""
        output = (batch,) if self._in_tuple else batch

        def pass_on(hidden_states, *args, **kwargs):
            return (hidden_states,) if self._in_tuple else hidden_states

        *lower, last = self._layers
        before = [layer.__dict__.get("forward") for layer in self._layers]
        for layer in lower:
            layer.forward = pass_on
        last.forward = lambda *args, **kwargs: output
        try:
            yield
        finally:
            for layer, forward in zip(self._layers, before, strict=True):
                if forward is None:
                    del layer.forward
                else:
                    layer.forward = forward

    def _take_up(self, key: str) -> bool:
        """Tell if an item's states are in memory, after a look at the disk."""
        if key not in self._kept:
            states = self.files.get(key) if self.files else None
            if states is None:
                return False
            self._kept[key] = states
        return True

    def _compute_each(self, trees: list[TokenTree]) -> list:
        """Compute items one by one, each by one thread: as many at a time as the process has threads."""
        import torch

        at_a_time = 1 if _remembers_lengths(self.model) else min(torch.get_num_threads(), len(trees))
        with _evaluating(self.model), _single_threads(at_a_time) as executor:
            return list(executor.map(self._compute, trees))

    def _compute(self, tree: TokenTree):
        """Compute the last frozen layer's output for one item alone; the layers above are not computed."""
        import torch

        inputs = {"input_ids": torch.tensor([tree.prompt]), "use_cache": False}
        if tree.branches:
            inputs = tree_batch([tree], 0, self.model)

        def end(module, arguments, output):
            raise _Reached(output)

        handle = self._layers[-1].register_forward_hook(end)
        try:
            with torch.no_grad():  # which a thread has for itself
                base_model(self.model).base_model(**inputs)
        except _Reached as reached:
            self._in_tuple = isinstance(reached.output, tuple)
            output = reached.output[0] if self._in_tuple else reached.output
            return output[0].detach().clone()
        finally:
            handle.remove()
        raise RuntimeError("the forward pass did not reach the last frozen layer")

    def _replays_exactly(self) -> bool:
        """Compare a few tokens' pass from kept states with the full one, bit by bit.

        Layers that look below the one before them (shared keys, inputs per layer) would differ; what they might have
        left from an earlier pass is of other tokens.
        """
        import torch

        decoder, ids = base_model(self.model).base_model, torch.tensor([_PROBE.prompt])
        with _evaluating(self.model):
            full = decoder(input_ids=ids, use_cache=False).last_hidden_state
            states = self._compute(_PROBE)
            self._compute(_OTHER_PROBE)
            with self._replaced(states[None]):
                return torch.equal(decoder(input_ids=ids, use_cache=False).last_hidden_state, full)

    def _is_random_in_training(self) -> bool:
        """Tell if the base model's own dropout acts in the frozen layers, so that no two passes are alike."""
        import torch

        with _evaluating(self.model), torch.random.fork_rng(devices=[]):
            states = self._compute(_PROBE)
            self.model.train()
            return not torch.equal(self._compute(_PROBE), states)


def decoder_layers(model) -> list:
    """List the decoder layers of a model of transformers, from the lowest."""
    import torch

    number = model.config.get_text_config().num_hidden_layers
    lists = (m for m in base_model(model).base_model.modules() if isinstance(m, torch.nn.ModuleList))
    return list(next((modules for modules in lists if len(modules) == number), []))


def frozen_layer_count(model, last_layers: int | None = None) -> int:
    """Count the decoder layers below the first one with an adapter; 0 if a module outside the layers has one.

    A model without adapter counts those below the `last_layers`, or none.
    """
    layers, biases = decoder_layers(model), _has_own_biases(model)
    changed, everywhere = [_changed_modules(layer, biases) for layer in layers], _changed_modules(model, biases)
    if not everywhere:
        return max(0, len(layers) - last_layers) if last_layers else 0
    return next(n for n, number in enumerate(changed) if number) if sum(changed) == everywhere else 0


def _remembers_lengths(model) -> bool:
    """Tell if the model's rotary embeddings change with the longest item so far, which no two threads may do at once.

    See ``dynamic_rope_update`` in transformers.
    """
    kinds = [kind for module in model.modules() if (kind := getattr(module, "rope_type", None))]
    names = [name for kind in kinds for name in (kind.values() if isinstance(kind, dict) else [kind])]
    return any("dynamic" in name or name == "longrope" for name in names)


@contextmanager
def _single_threads(number: int) -> Iterator[Executor]:
    """Run functions in threads of Python in which torch computes with one thread of its own."""
    import torch

    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(number, initializer=torch.set_num_threads, initargs=(1,)) as executor:
            yield executor
    finally:
        torch.set_num_threads(threads)  # those that begin later would take over the last setting


def _has_own_biases(model) -> bool:
    """Tell if an adapter brings biases, which stand in the place of the base model's."""
    return any(getattr(config, "bias", "none") != "none" for config in getattr(model, "peft_config", {}).values())


def _changed_modules(module, biases: bool) -> int:
    """Count modules with LoRA factors, modules that PEFT has wrapped to save or to train, and, if asked, biases."""

    def is_changed(inner) -> bool:
        return any(hasattr(inner, name) for name in ("lora_A", "original_module")) or (
            biases and inner._parameters.get("bias") is not None
        )

    return sum(map(is_changed, module.modules()))


@contextmanager
def _evaluating(model):
    """Compute without gradients and dropout inside the block."""
    import torch

    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode
