#!/usr/bin/env bash
# tools/gpu_check.sh OUT [--tiny]
#
# On a machine with a GPU, PyTorch with CUDA and Triton, without network and without installing
# anything: the kernels against their oracle, the speed table, a short training; JSON in OUT.
# At most 8 minutes. --tiny runs all of it on a CPU, in Triton's interpreter, at tiny sizes.
# PYTHON names the Python to use (default: python3).
set -u

fail() {
    echo "gpu_check.sh: error: $1" >&2
    exit 2
}

python="${PYTHON:-python3}"
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
out=""
tiny=()
for argument in "$@"; do
    case "$argument" in
        --tiny) tiny=(--tiny) ;;
        -*) fail "option '$argument': expected OUT [--tiny]" ;;
        *)
            [ -z "$out" ] || fail "argument '$argument': expected one folder, which is '$out'"
            out="$argument"
            ;;
    esac
done
[ -n "$out" ] || fail "no folder for the results: expected OUT [--tiny]"
command -v "$python" > /dev/null || fail "PYTHON = '$python': expected a Python that can be run"
command -v timeout > /dev/null || fail "no timeout command: expected that of GNU coreutils"
if [ -e "$out" ] && [ -n "$(ls -A "$out" 2>&1)" ]; then
    fail "'$out' is not an empty folder: expected a new or empty one"
fi
case "$python" in
    /*) ;;
    */*) python="$PWD/$python" ;;
esac
case "$out" in
    /*) ;;
    *) out="$PWD/$out" ;;
esac

scratch="$(mktemp -d)" || fail "no folder for temporary files could be made: expected one by mktemp"
trap 'rm -rf "$scratch"' EXIT
export TRITON_CACHE_DIR="${TRITON_CACHE_DIR:-$scratch}"
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
if [ ${#tiny[@]} -gt 0 ]; then
    # Threads that wait for one another gain nothing at these sizes.
    export TRITON_INTERPRET=1 CUDA_VISIBLE_DEVICES="" OMP_NUM_THREADS=1
else
    unset TRITON_INTERPRET
fi
# Another folder may hold packages of the same names.
cd "$root" || fail "'$root' cannot be entered: expected the project's folder"

check() {
    timeout --kill-after=4 "$1" "$python" -m benchmarks.speed.gpu_check "${@:2}" \
        --out "$out" ${tiny[@]+"${tiny[@]}"}
}

check 40 ready || exit
codes=()
for part in tests:180 speed:120 training:100; do
    check "${part#*:}" "${part%:*}"
    codes+=(--exit "${part%:*}=$?")
done
check 20 summary "${codes[@]}"
