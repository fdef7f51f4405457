#!/usr/bin/env bash
# Compiles the proofs in out/formal, has coqchk check them and the library below them again, and
# prints of each theorem which axioms it rests on; any but those of Coq's real numbers is an error.
set -euo pipefail
cd "$(dirname "$0")"
if ! command -v coqc >/dev/null; then
  echo "make formal: Coq is missing; on Debian or Ubuntu install the package coq" \
    "(apt-get install --no-install-recommends coq), elsewhere see https://coq.inria.fr/download;" \
    "8.16.1 is the version used here." >&2
  exit 1
fi
real_numbers="ClassicalDedekindReals.sig_forall_dec ClassicalDedekindReals.sig_not_dec
FunctionalExtensionality.functional_extensionality_dep"

build=../out/formal
mkdir -p "$build"
rm -f "$build"/*.v
cp -p _CoqProject ./*.v "$build"
cd "$build"
modules=$(sed -n 's/\.v$//p' _CoqProject)
coq_makefile -f _CoqProject -o Makefile.coq
make --no-print-directory -f Makefile.coq -j "$(nproc)"

# shellcheck disable=SC2046
coqchk -silent -o -Q . OSAE $(printf 'OSAE.%s ' $modules) 2>&1

# "file.theorem: axioms" for each theorem.
{
  for module in $modules; do
    echo "From OSAE Require $module."
    sed -n 's/^Theorem \([A-Za-z0-9_]*\).*/\1/p' "$module.v" | while read -r theorem; do
      echo "Goal True. idtac \"= $module.$theorem\". Abort. Print Assumptions $module.$theorem."
    done
  done
} >Assumptions.v
coqc -Q . OSAE Assumptions.v | awk -v allowed="$real_numbers" '
  BEGIN { split(allowed, names); for (i in names) known[names[i]] = 1 }
  /^= / { if (line) print line; line = $2 ": " ; empty = 1; next }
  /^Closed under the global context/ { line = line "no axioms"; next }
  /^[A-Za-z]/ && $1 != "Axioms:" && $1 != "Axioms" {
    name = $1; sub(/.*\./, "", name); line = line (empty ? "" : ", ") name; empty = 0
    if (!($1 in known)) unknown = unknown " " $1
  }
  END { print line; if (unknown) { print "axioms of our own:" unknown; exit 1 } }'
