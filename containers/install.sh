#!/bin/sh
# What every image installs: Python from the Debian archive $1 and the locked packages. Runs inside the image.
set -eu
cd /opt/stagewise
export DEBIAN_FRONTEND=noninteractive

# A snapshot's index is as old as the snapshot; its signature is checked all the same.
rm -f /etc/apt/sources.list.d/*
echo "deb [check-valid-until=no] $1 bookworm main" >/etc/apt/sources.list
apt-get update -qq
set -- python3.11 python3.11-venv ca-certificates
if grep -q '^triton==' lock.txt; then
    # Triton compiles the C code that launches its kernels, at their first launch: without, the loss on a GPU is slower.
    set -- "$@" gcc libc6-dev python3.11-dev
fi
apt-get install -y -qq --no-install-recommends "$@"

# --isolated: no pip configuration but the lock's hashes. Two locked packages are source archives: they are built by the
# setuptools that Debian's venv brings, without a download. Compiled files that go by content are the same in every build.
export SOURCE_DATE_EPOCH=0
python3.11 -m venv venv
set -- --isolated install --quiet --disable-pip-version-check --no-cache-dir --no-deps --no-build-isolation \
    --require-hashes -r lock.txt
if ls wheels/*.whl >/dev/null 2>&1; then
    set -- "$@" --no-index -f wheels
fi
venv/bin/pip "$@"

echo "stagewise.lock.sha256 $(sha256sum lock.txt | cut -d' ' -f1)" >>"$APPTAINER_LABELS"
echo "stagewise.debian $(cat /etc/debian_version)" >>"$APPTAINER_LABELS"
echo "stagewise.python $(venv/bin/python -c 'import platform; print(platform.python_version())')" >>"$APPTAINER_LABELS"

# The wheels are installed; logs and caches would differ from build to build.
rm -rf wheels /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/cache/ldconfig/aux-cache /var/log/*
