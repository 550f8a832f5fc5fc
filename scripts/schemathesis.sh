#!/usr/bin/env bash
# Holds a live server to its OpenAPI document: schemathesis sends what the document allows and what it forbids, and compares every
# answer with it. On a database of its own, which is deleted at the end. Arguments go to `schemathesis run`: --max-examples 500, --seed 7.

set -euo pipefail
export LC_ALL=C

readonly VERSION=4.32.5
readonly READY_SECONDS_MAX=30

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
TOOL=$ROOT/.local/schemathesis
PURSER=${CARGO_TARGET_DIR:-$ROOT/target}/debug/purser

say() { printf '%s\n' "$*" >&2; }

: "${DATABASE_URL:?is not set: run this by make schemathesis}"

if [[ "$("$TOOL/bin/schemathesis" --version 2>/dev/null || true)" != *"$VERSION"* ]]; then
  say "installing schemathesis $VERSION into .local/schemathesis"
  python3 -m venv --clear "$TOOL"
  "$TOOL/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$VERSION"
fi

# The same server, another database: the name is the path of the address.
query=''
[[ $DATABASE_URL == *\?* ]] && query="?${DATABASE_URL#*\?}"
address=${DATABASE_URL%%\?*}
export DATABASE_URL="${address%/*}/purser_schemathesis_$$$query"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export PURSER_HTTP__LISTEN=127.0.0.1:$port PURSER_BROKER__ENABLED=false
# With keys, so that what needs one is asked without one, too; as often as it likes.
export PURSER_HTTP__AUTH=on PURSER_HTTP__STRANGER_RATE_MAX=0
# Bodies that break a limit of the document are some 100 KB at times. They are to be refused for that, with what the tool expects of them, not for their
# size: 413 has tests of its own. Bytes.
export PURSER_HTTP__BODY_BYTES_MAX=16777216 PURSER_BATCH__BODY_BYTES_MAX=16777216
log=$ROOT/.local/schemathesis.log
server=''

end() {
  if [[ -n $server ]]; then
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  "$PURSER" db --dropdb --yes >/dev/null 2>&1 || say "the database purser_schemathesis_$$ stays"
}
trap end EXIT

"$PURSER" db --initdb >/dev/null
"$PURSER" seed >/dev/null
key=$("$PURSER" keys create --name schemathesis --scope admin 2>/dev/null)
"$PURSER" serve >"$log" 2>&1 &
server=$!
for ((second = 0; ; second++)); do
  if curl --silent --fail --output /dev/null "http://$PURSER_HTTP__LISTEN/readyz"; then break; fi
  if ((second == READY_SECONDS_MAX)); then
    say "the server does not get ready; its log: $log"
    exit 1
  fi
  sleep 1
done

# What it finds out about the interface is kept beside it, not in the project's folder.
cd "$ROOT/.local"
# Lowering a currency's scale waits for some seconds on purpose. Which checks are made is said in the settings only: named here, all would be made of all.
"$TOOL/bin/schemathesis" --config-file "$ROOT/scripts/schemathesis.toml" run "http://$PURSER_HTTP__LISTEN/openapi.json" \
  --header "Authorization: Bearer $key" --continue-on-failure --request-timeout 60 --max-examples 100 "$@"
# An answer of 500 is found by the checks; what the log holds beyond that should be looked at, too.
if grep -E 'panicked|"ERROR"| ERROR ' "$log"; then
  say "the server's log has errors: $log"
  exit 1
fi
