#!/usr/bin/env bash
# run.sh with a server that is built already, as `cargo xtask test` has it.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export TESTKIT_ANTIPHON=${TESTKIT_ANTIPHON:-${CARGO_TARGET_DIR:-$here/../../target}/debug/antiphon}
exec bash "$here/run.sh"
