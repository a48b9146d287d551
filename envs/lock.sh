#!/bin/sh
# Resolve envs/*.in into hash-locked envs/*.txt for CPython 3.11 on x86-64 Linux. `make lock` calls this.
set -eu
cd "$(dirname "$0")"
command -v uv >/dev/null || { echo "error: uv is missing; install it or run 'make test' once" >&2; exit 2; }

compile() {
    uv pip compile --quiet --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
        --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" "$@"
}

compile run.in --output-file run-cuda.txt
# The same packages on the last torch whose wheels on PyPI were built for CUDA 12: nothing but torch and what it brings
# may differ, so every other version is a constraint.
constraints=$(mktemp)
trap 'rm -f "$constraints"' EXIT
awk '/^[a-zA-Z0-9]/ && !/^(nvidia-|triton==|cuda-|torch==)/ { print $1 }' run-cuda.txt >"$constraints"
compile run.in --override cuda12.in --constraint "$constraints" --output-file run-cuda12.txt
compile dev.in --constraint run-cuda.txt --output-file dev.txt
compile s3.in --output-file s3.txt
compile mutation.in --output-file mutation.txt
compile harness.in --constraint run-cuda.txt --constraint dev.txt --output-file harness.txt

# Only what run-cuda.txt does not have, to be installed with --no-deps: pip would bring CUDA packages into a CPU set-up.
awk '
    FNR == NR { if (/^[a-zA-Z0-9]/) there[$1] = 1; next }
    /^[a-zA-Z0-9]/ { skip = $1 in there }
    !skip
' run-cuda.txt harness.txt >harness.new && mv harness.new harness.txt

# The CPU-only set-up: the same versions without the CUDA packages, and torch by the hash of its CPU wheel alone,
# because pip takes the CUDA wheel wherever that one's hash is listed too.
awk -v torch_cpu=6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b '
    /^[a-zA-Z0-9]/ {
        skip = /^(nvidia-|triton==|cuda-)/
        if (/^torch==/) { print; print "    --hash=sha256:" torch_cpu; skip = 1 }
    }
    !skip
' run-cuda.txt >run-cpu.txt
