#!/bin/sh
# Apptainer for Debian 12, which has no package of it: Debian sid's, with the C library that it was built for, in a
# folder of its own. Usage, as root: containers/install-apptainer.sh DIR; then DIR/usr/bin/apptainer works.
# What it calls (mksquashfs, newuidmap, debootstrap, squashfuse) comes from the installed Debian. Nothing else changes.
set -eu
[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
mkdir -p "$1"
dir=$(cd "$1" && pwd)
[ "$(dpkg --print-architecture)" = amd64 ] || { echo "error: this is for amd64; install apptainer yourself" >&2; exit 1; }

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends \
    squashfs-tools squashfuse uidmap debootstrap patchelf debian-archive-keyring ca-certificates >/dev/null

# An apt of its own, so that the machine's never hears of sid.
apt=$(mktemp -d)
trap 'rm -rf "$apt"' EXIT
chmod 755 "$apt" # apt reads and fetches as its own user
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
# The archive that this machine takes Debian from has sid as well.
site=$(apt-get indextargets --format '$(SITE)' | grep '/debian/*$' | head -n 1)
[ -n "$site" ] || { echo "error: apt's sources name no Debian archive (an address that ends in /debian)" >&2; exit 1; }
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site sid main" >"$apt/sources"
cat >"$apt/conf" <<CONF
Dir::Etc::SourceList "$apt/sources";
Dir::Etc::SourceParts "-";
Dir::State::Lists "$apt/lists";
Dir::Cache "$apt/cache";
APT::Sandbox::User "root";
Acquire::Languages "none";
CONF
(
    export APT_CONFIG="$apt/conf"
    cd "$apt"
    apt-get update -qq
    apt-get download -qq apptainer libc6 libseccomp2 libsqlite3-0 containernetworking-plugins
)
for package in "$apt"/*.deb; do
    dpkg-deb -x "$package" "$dir"
done

# It loads its own C library instead of the machine's older one.
lib=$dir/usr/lib/x86_64-linux-gnu
for program in "$dir/usr/bin/apptainer" "$lib/apptainer/bin/starter"; do
    patchelf --set-interpreter "$lib/ld-linux-x86-64.so.2" --force-rpath --set-rpath "$lib" "$program"
done
# Moved from /, it looks for its settings beside its programs.
for folder in etc var; do
    ln -sfn "../../$folder" "$dir/usr/lib/$folder"
    ln -sfn "../$folder" "$dir/usr/$folder"
done
mkdir -p "$dir/var/lib/apptainer/mnt/session"
"$dir/usr/bin/apptainer" --version
