# make run: the default experiment.   make test: every test.   TORCH=cpu avoids the CUDA packages (see README), and
# TORCH=cuda12 is for older drivers (docs/running/gpu.md).
TORCH ?= cuda
PYTHON ?= python3.11
VENV ?= .venv
export PATH := $(abspath $(VENV))/bin:$(PATH)

.PHONY: run test harness bench bench-gpu certify kill-test mutation-test dvc-test cluster-test container-test lint lock containers clean

run: $(VENV)/.run-$(TORCH)
	snakemake --cores all

# A process per core; each takes whole test files, so that what a file prepares is prepared once.
test: $(VENV)/.dev-$(TORCH)
	pytest -n auto --dist loadfile --no-loadscope-reorder

# lm-evaluation-harness, for experiments that have `probes.harness` (docs/probes.md); with TORCH as for the others.
harness: $(VENV)/.harness-$(TORCH)

# An experiment twice from scratch, every byte compared: make certify ARGS="--cores 4 --configfile experiments/real.yaml"
certify: $(VENV)/.run-$(TORCH)
	python -m scripts.certify $(ARGS)

# Speed, memory and start-up beside other programs, on idle cores; written to benchmarks/records (docs/running/speed.md).
# make bench ARGS="scoring --rounds 3"
bench: $(VENV)/.run-$(TORCH) .venv-bench/.bench
	python -m benchmarks.run $(ARGS)
	python -m benchmarks.tables

bench-gpu: $(VENV)/.run-$(TORCH)
	python -m benchmarks.gpu $(ARGS)
	python -m benchmarks.tables

# The harness alone: it runs on the other environment's torch and transformers.
.venv-bench/.bench: envs/harness.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip install --quiet --no-deps --require-hashes -r $<
	realpath $(VENV)/lib/python3*/site-packages > $$(echo .venv-bench/lib/python3*/site-packages)/environment.pth
	touch $@

# mutmut in an environment of its own beside the other; survivors are written to mutation.txt (docs/mutation.md).
mutation-test: $(VENV)/.dev-$(TORCH) .venv-mutation/.mutation
	PYTHONPATH=$$(realpath .venv-mutation/lib/python3*/site-packages) nice -n 15 python -m benchmarks.mutation $(ARGS)

.venv-mutation/.mutation: envs/mutation.txt
	$(PYTHON) -m venv .venv-mutation
	.venv-mutation/bin/pip install --quiet --require-hashes -r $<
	touch $@

# DVC for real: fresh clones, checkouts, remotes in a folder and on an S3 server on loopback.
dvc-test: $(VENV)/.dev-$(TORCH) .venv-s3/.s3
	pytest -s tests/dvc

.venv-s3/.s3: envs/s3.txt
	$(PYTHON) -m venv .venv-s3
	.venv-s3/bin/pip install --quiet --require-hashes -r $<
	touch $@

# As root, on Debian: Slurm on loopback, with everything that can happen to a job (docs/running/cluster.md).
cluster-test: $(VENV)/.dev-$(TORCH)
	pytest tests/cluster -s

# Runs killed at every kind of point, drawn by KILL_SEED (0), then the same command again; `make test` has five of them.
kill-test: $(VENV)/.dev-$(TORCH)
	KILL_POINTS=all pytest tests/kill -s

lint: $(VENV)/.dev-$(TORCH)
	ruff check . && ruff format --check . && snakefmt --check Snakefile rules && snakemake --lint

# One stamp per lock file: an environment that fits is not installed again. Another TORCH replaces the one that is there.
$(VENV)/.run-$(TORCH): envs/run-$(TORCH).txt
	$(PYTHON) -m venv $(VENV)
	rm -f $(VENV)/.run-*
	$(VENV)/bin/pip install --require-hashes -r $<
	touch $@

$(VENV)/.harness-$(TORCH): envs/harness.txt $(VENV)/.run-$(TORCH)
	$(VENV)/bin/pip install --no-deps --require-hashes -r $<
	touch $@

$(VENV)/.dev-$(TORCH): envs/dev.txt $(VENV)/.harness-$(TORCH)
	$(VENV)/bin/pip install --require-hashes -r $<
	touch $@

# containers/$(TORCH).sif for --sdm apptainer; with a local BASE if the registry is out of reach
# (docs/running/containers.md).
containers: containers/$(TORCH).sif

containers/%.sif: containers/%.def envs/run-%.txt $(wildcard containers/*.sh containers/*.py)
	PYTHON=$(PYTHON) containers/build.sh $*

container-test: $(VENV)/.dev-$(TORCH)
	pytest -s tests/container

lock:
	envs/lock.sh

# Needs graphviz.
docs/rulegraph.svg: Snakefile $(wildcard rules/*.smk)
	snakemake --quiet all --rulegraph | dot -Tsvg > $@

clean:
	rm -rf $(VENV) .venv-bench .venv-s3 .venv-mutation .snakemake logs results
