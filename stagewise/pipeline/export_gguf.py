"""Conversion of an exported model or adapter to GGUF, by llama.cpp's own converters."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from stagewise.errors import NETWORK_VARIABLES, InputError
from stagewise.models.receipts import model_files

LLAMA_CPP_VARIABLE = "LLAMA_CPP_DIR"
"""Environment variable with the folder of a copy of llama.cpp."""

MODEL_CONVERTER, ADAPTER_CONVERTER = "convert_hf_to_gguf.py", "convert_lora_to_gguf.py"

TYPES = ("auto", "f32", "f16", "bf16", "q8_0")
"""Types of weights that both converters write.

`auto` is the 16-bit type that keeps most of a model's weights; an adapter's few stay float32, as its converter does by
default.
"""

_MAGIC = b"GGUF"


def find_converter(named: str | None, merged: bool) -> Path:
    """Find the converter: where `named` says, in the folder of `LLAMA_CPP_VARIABLE`, or on the PATH.

    Parameters
    ----------
    named
        The converter, or the folder of llama.cpp.
    merged
        A whole model is converted, not an adapter.

    Raises
    ------
    InputError
        If there is none; it says how to get it.
    """
    script = MODEL_CONVERTER if merged else ADAPTER_CONVERTER
    folder = named or os.environ.get(LLAMA_CPP_VARIABLE)
    if folder:
        path = Path(folder) / script if Path(folder).is_dir() else Path(folder)
    else:
        path = Path(shutil.which(script) or "")
    if not path.is_file():
        where = f"{folder}: " if folder else ""
        raise InputError(
            f"{where}llama.cpp's {script} is not there; get it with `git clone --depth 1 "
            f"https://github.com/ggml-org/llama.cpp` and name that folder with --converter or {LLAMA_CPP_VARIABLE}"
        )
    return path


def write_gguf(converter: Path, exported: Path, outtype: str, model_dir: Path | None) -> Path:
    """Convert an exported folder and put the GGUF file into it.

    The converter is another project's program: it gets none of the environment's logins.

    Parameters
    ----------
    exported
        Folder of a merged model, or of an adapter.
    outtype
        One of `TYPES`.
    model_dir
        Folder of the adapter's base model; None for a merged model.

    Raises
    ------
    InputError
        If the converter fails, or leaves no GGUF file.
    """
    output = exported / f"{'model' if model_dir is None else 'adapter'}.gguf"
    command = [sys.executable, converter, exported, "--outfile", output]
    if model_dir is not None:
        outtype = "f32" if outtype == "auto" else outtype  # `auto` of the adapters' converter fails
        command += ["--base", model_files(model_dir).resolve()]
    command += ["--outtype", outtype]
    environment = {key: value for key, value in os.environ.items() if key not in NETWORK_VARIABLES}
    done = subprocess.run(
        [str(word) for word in command], env=environment, capture_output=True, text=True, errors="replace"
    )
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()] or ["no message"]
        if missing := re.search(r"No module named '([\w.]+)'", lines[-1]):
            way_out = f"install {missing[1]} beside this project's packages, or export without --gguf"
        else:
            way_out = "a newer llama.cpp may know the model, or export without --gguf"
        raise InputError(f"{converter.name} ended with code {done.returncode}: {lines[-1][:300]}; {way_out}")
    try:
        with open(output, "rb") as file:
            magic = file.read(len(_MAGIC))
    except FileNotFoundError:
        magic = None
    if magic != _MAGIC:
        raise InputError(f"{converter.name} left no GGUF file; name llama.cpp's own script with --converter")
    return output
