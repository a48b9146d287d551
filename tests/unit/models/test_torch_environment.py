"""The traps below us, each shown and each remedied."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from stagewise.models.load import keep_4bit_weights_trainable, load_base
from stagewise.models.torch_environment import cpu_has_bfloat16
from stagewise.training.trainer import cast_trainable_to_float32
from tests.helpers.toy_task import write_toy_split

ROOT = Path(__file__).resolve().parents[3]
no_bfloat16 = pytest.mark.skipif(not cpu_has_bfloat16(), reason="this CPU has no avx512_bf16")


def gradients(model) -> torch.Tensor:
    """The gradients of every adapter weight as one vector, zero where none arrived."""
    model.zero_grad(set_to_none=True)
    ids = torch.arange(3, 35)[None]
    model(input_ids=ids, labels=ids).loss.backward()
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters() if p.requires_grad]
    return torch.cat([grad.flatten() for grad in grads])


def cosine_after_evaluation(tiny_model, remedy: bool) -> float:
    """Cosine between an adapter's gradients before and after one evaluation, on a 4-bit base model."""
    from bitsandbytes.nn import Linear4bit
    from peft import LoraConfig, get_peft_model

    base = load_base(tiny_model, "nf4", "bfloat16")
    layers = [module for module in base.modules() if isinstance(module, Linear4bit)]
    assert len(layers) == 14
    if not remedy:
        for layer in layers:
            layer.support_avx512bf16_for_cpu = True  # as bitsandbytes leaves it on such a CPU
    torch.manual_seed(0)
    config = LoraConfig(r=8, target_modules=["q_proj", "v_proj", "down_proj"], init_lora_weights=False)
    model = get_peft_model(base, config).train()
    before = gradients(model)
    model.eval()
    with torch.no_grad():
        model(input_ids=torch.arange(3, 35)[None])
    model.train()
    return torch.nn.functional.cosine_similarity(before, gradients(model), dim=0).item()


@no_bfloat16
def test_a_gradients_after_an_evaluation_are_right(tiny_model):
    assert cosine_after_evaluation(tiny_model, remedy=True) > 0.999


@no_bfloat16
def test_a_the_trap_is_real_without_the_remedy(tiny_model):
    """If this fails, bitsandbytes has mended it and `keep_4bit_weights_trainable` may go."""
    assert cosine_after_evaluation(tiny_model, remedy=False) < 0.9


def test_a_every_4bit_layer_is_kept_as_it_is(tiny_model):
    from bitsandbytes.nn import Linear4bit

    model = load_base(tiny_model, "nf4", "float32")
    flags = [m.support_avx512bf16_for_cpu for m in model.modules() if isinstance(m, Linear4bit)]
    assert flags == [False] * 14
    assert keep_4bit_weights_trainable(load_base(tiny_model, "none", "float32")) == 0


def run(code: str, **environment) -> subprocess.CompletedProcess:
    env = {
        k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "HF_HUB_OFFLINE")
    } | environment
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)


def test_b_openmp_threads_wait_patiently():
    """The limit is set while torch is not loaded yet, and OpenMP, which torch loads, takes it from there."""
    code = (
        "import os, sys\n"
        "from stagewise.models.torch_environment import before_torch\n"
        "assert 'torch' not in sys.modules\n"
        "before_torch()\n"
        "assert 'torch' not in sys.modules\n"
        "print(os.environ['GOMP_SPINCOUNT'], os.environ['HF_HUB_OFFLINE'])\n"
        "import torch; torch.ones(2)\n"
    )
    # libgomp, which torch brings, prints the settings that it took up when it was loaded.
    done = run(code, OMP_DISPLAY_ENV="verbose")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1000", "1"]
    assert "GOMP_SPINCOUNT = '1000'" in done.stderr


def test_b_what_the_user_set_stays():
    code = (
        "from stagewise.models.torch_environment import before_torch; before_torch(); import os\n"
        "print(os.environ['OMP_WAIT_POLICY'], os.environ.get('GOMP_SPINCOUNT'))"
    )
    assert run(code, OMP_WAIT_POLICY="ACTIVE").stdout.split() == ["ACTIVE", "None"]


def test_b_a_step_in_a_process_that_has_torch_trains_and_warns_once(tiny_model, tmp_path):
    """As in a notebook, whose first cell imports torch."""
    toy = write_toy_split(tmp_path / "data")
    code = (
        "import torch, os, pathlib, sys\n"
        "os.environ['HF_TOKEN'] = 'canary'\n"
        "from tests.helpers.toy_stage import Stage\n"
        f"stage = Stage(*map(pathlib.Path, {[str(tmp_path), str(tiny_model), str(toy)]!r}))\n"
        "print(stage.train(), stage.train(), os.environ['HF_HUB_OFFLINE'], os.environ['HF_TOKEN'])\n"
    )
    done = run(code)
    assert done.stdout.splitlines()[-1:] == ["0 0 1 canary"], done.stderr
    assert done.stderr.count("torch was imported first") == 1


@pytest.mark.parametrize("module", ["train_adapter", "predict", "infer", "fetch_model", "write_recipe"])
def test_b_no_step_imports_torch_before_the_policy_is_set(module):
    """Importing a step loads nothing heavy, so `before_torch` always comes first."""
    code = f"import sys, scripts.{module}; print([m for m in ('torch', 'transformers', 'peft') if m in sys.modules])"
    assert run(code).stdout.strip() == "[]"


IMPORTS = "import sys; from stagewise.models.torch_environment import import_libraries\n"


def test_a_training_without_quantization_imports_no_more_than_it_uses(tiny_model, tmp_path):
    """If a library's update brings one of them back, each training and prediction takes seconds longer."""
    toy = write_toy_split(tmp_path / "data")
    code = IMPORTS + (
        "import gc, pathlib\n"
        "from tests.helpers.toy_stage import Stage\n"
        f"Stage(*map(pathlib.Path, {[str(tmp_path), str(tiny_model), str(toy)]!r})).train()\n"
        "heavy = ('bitsandbytes', 'torch._inductor.compile_fx', 'scipy', 'sklearn', 'tensorboard', 'matplotlib')\n"
        "print([name for name in heavy if sys.modules.get(name)])\n"
        "print(gc.isenabled(), gc.get_freeze_count() > 100_000)\n"
        "import scipy.special\n"
        "try: import_libraries('peft', quantization='nf4')\n"
        "except RuntimeError as error: print(error)\n"
    )
    done = run(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-3:] == [
        "[]",
        "True True",
        "this process imported its libraries without quantization; quantize in another process",
    ]


def test_a_quantized_model_gets_bitsandbytes(tiny_model):
    code = IMPORTS + (
        "import_libraries('peft', quantization='nf4')\n"
        "from stagewise.models.load import load_base\n"
        f"print(type(load_base({str(tiny_model)!r}, 'nf4', 'float32').model.layers[0].mlp.down_proj).__name__)\n"
    )
    done = run(code)
    assert done.stdout.split() == ["Linear4bit"], done.stderr


def test_a_process_that_has_torch_hides_nothing():
    code = "import torch\n" + IMPORTS + "import_libraries('json'); print(sys.modules.get('bitsandbytes', 'not hidden'))"
    assert run(code, OMP_WAIT_POLICY="PASSIVE").stdout.strip() == "not hidden"


def test_bfloat16_is_read_from_the_kernels_list(tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    for flags, expected in (
        ("fpu avx512f avx512_bf16", True),
        ("fpu amx_bf16 amx_tile", True),
        ("fpu avx2 avx512f avx512_bf16x", False),
        ("", False),
    ):
        cpuinfo.write_text(f"processor\t: 0\nmodel name\t: some CPU\nflags\t\t: {flags}\n", encoding="utf-8")
        assert cpu_has_bfloat16(cpuinfo) is expected
    assert cpu_has_bfloat16(tmp_path / "none") is False


def test_d_trainable_lora_weights_become_float32_and_frozen_ones_stay():
    """What an adapter brings beside LoRA has the model's type, which trl changes for a quantized one."""
    kinds = {"frozen": torch.bfloat16, "lora_A": torch.bfloat16, "saved": torch.float32}
    model = torch.nn.ModuleDict({name: torch.nn.Linear(4, 2, dtype=dtype) for name, dtype in kinds.items()})
    model.dtype = torch.bfloat16
    model["frozen"].requires_grad_(False)
    parameters = list(model["lora_A"].parameters())
    assert cast_trainable_to_float32(model) == 20
    types = {name: {p.dtype for p in module.parameters()} for name, module in model.items()}
    assert types == {"frozen": {torch.bfloat16}, "lora_A": {torch.float32}, "saved": {torch.bfloat16}}
    # In place: an optimizer that holds the parameters goes on with them.
    assert all(a is b for a, b in zip(parameters, model["lora_A"].parameters(), strict=True))
