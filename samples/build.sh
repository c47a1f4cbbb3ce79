#!/bin/sh
# Build the wheels of the sample workers into DIRECTORY: samples/build.sh DIRECTORY
# The same sources give the same bytes, so a build that changes nothing changes nothing.
set -eu
samples=$(dirname "$(realpath "$0")")
mkdir -p "$1"
directory=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

export SOURCE_DATE_EPOCH=946684800
umask 022
for package in "$samples"/*/pyproject.toml; do
    name=$(basename "$(dirname "$package")")
    # Built from a copy: the build leaves files beside the sources, and what is left of an older build gets into a wheel.
    cp -r "$(dirname "$package")" "$work/$name"
    ${PYTHON:-python3} -m pip wheel --quiet --no-index --no-deps --no-build-isolation --wheel-dir "$work/wheels" "$work/$name"
done
for wheel in "$work"/wheels/*.whl; do
    cmp -s "$wheel" "$directory/$(basename "$wheel")" || install -m 0644 "$wheel" "$directory/"
done
