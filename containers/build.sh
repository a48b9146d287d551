#!/bin/sh
# Build containers/$1.sif ($1 is cpu or cuda) from its definition; `make containers` calls this.
#   BASE       a local image or root file system to build on, where the registry cannot be reached
#   BOOTSTRAP  docker (the default), localimage (the default with BASE), debootstrap
#   DEBIAN     a Debian mirror (the address that ends before /debian) instead of the pinned snapshot
#   BUILD_ARGS more options of `apptainer build`, as --fakeroot for a root that lacks privileges
set -eu
torch=$1
image=containers/$torch.sif
wheels=containers/wheels/$torch
command -v apptainer >/dev/null || {
    echo "error: apptainer is missing; install it (on Debian 12 as root: containers/install-apptainer.sh DIR)" >&2
    exit 1
}

# Packages are fetched outside the image with this machine's pip settings; hashes are checked here and inside.
# Once they are there, nothing is asked of the network again until the lock changes.
lock=$(sha256sum <"envs/run-$torch.txt")
if [ "$(cat "$wheels/lock.sha256" 2>/dev/null)" != "$lock" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    "${PYTHON:-python3.11}" -m venv "$work/venv"
    rm -rf "$wheels"
    "$work/venv/bin/pip" download --quiet --require-hashes --no-deps --dest "$wheels" -r "envs/run-$torch.txt"
    echo "$lock" >"$wheels/lock.sha256"
fi

set -- --build-arg "WHEELS=$wheels"
if [ -n "${BASE:-}" ]; then
    set -- "$@" --build-arg "BASE=$BASE" --build-arg "BOOTSTRAP=${BOOTSTRAP:-localimage}"
elif [ -n "${BOOTSTRAP:-}" ]; then
    set -- "$@" --build-arg "BOOTSTRAP=$BOOTSTRAP"
fi
if [ -n "${DEBIAN:-}" ]; then
    set -- "$@" --build-arg "DEBIAN=$DEBIAN" --build-arg SNAPSHOT=
fi
# With the base image's date for every later file, the same content gives the same bytes.
export SOURCE_DATE_EPOCH=1753056000
# shellcheck disable=SC2086
apptainer build --force ${BUILD_ARGS:-} "$@" "${image%.sif}.part.sif" "containers/$torch.def"
"${PYTHON:-python3.11}" containers/same_bytes.py "${image%.sif}.part.sif"
mv "${image%.sif}.part.sif" "$image"
