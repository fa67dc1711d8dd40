#!/bin/sh
# Makes a golden store: what a binary of some schema leaves behind, with an operation of every kind in it, for
# tests/promises/upgraded.rs to upgrade. To be run with the last binary of a schema, before there is another one:
#
#   tests/golden/make.sh target/debug/longrun tests/golden/sqlite-5
#   tests/golden/make.sh target/debug/longrun tests/golden/postgres-2 postgres://postgres@127.0.0.1/empty
#
# It wants curl, and python3 or pg_dump. The token in it opens nothing but copies of it.
set -eu

binary=$1 into=$2 store=${3-}
url=http://127.0.0.1:18470
scratch=$(mktemp -d)
mkdir -p "$into"

"$binary" serve --data "$scratch/data" --listen 127.0.0.1:18470 --workers 0 ${store:+--store "$store"} > "$scratch/log" &
server=$!
trap 'kill $server 2> /dev/null || true; rm -rf "$scratch"' EXIT
curl -sf --retry 50 --retry-connrefused --retry-delay 1 -o "$scratch/ready" $url/readyz

id() {
    printf '7986a22f-a22f-7986-2fa2-0000000000%02d' "$1"
}
send() { # METHOD PATH BODY [CURL'S OTHER ARGUMENTS]
    method=$1 path=$2 body=$3
    shift 3
    curl -sS --fail-with-body -X "$method" "$url$path" -H 'Content-Type: application/json' -d "$body" "$@"
}
submit() { # NUMBER FIELDS [CURL'S OTHER ARGUMENTS]
    number=$1 fields=$2
    shift 2
    send POST /v1.0/operations "{\"id\":\"$(id "$number")\",$fields}" "$@" > "$scratch/answer"
}
claim() { # NUMBER: the only one of the queue of that name
    send POST /v1.0/work "{\"workerId\":\"w\",\"claim\":{\"id\":\"c$1\",\"queues\":[\"q$1\"],\"leaseSeconds\":3600}}" > "$scratch/answer"
    grep -q "$(id "$1")" "$scratch/answer"
}
report() { # NUMBER FIELDS
    send POST /v1.0/work "{\"workerId\":\"w\",\"reports\":[{\"id\":\"$(id "$1")\",\"leaseToken\":1,$2}]}" > "$scratch/answer"
    ! grep -q '"code"' "$scratch/answer"
}
large=$(printf '%05000d' 0)

submit 1 '"queue":"q1","operationType":"t","priority":5,"labels":{"team":"größer","n":""},"input":{"n":[1,2.50]}'
submit 2 '"queue":"q2","startDateTime":"2199-01-01T00:00:00Z","expirationDateTime":"2199-01-02T00:00:00Z","timeoutSeconds":60'
submit 3 "\"queue\":\"q3\",\"input\":\"$large\""
submit 4 '"queue":"q4"' -H 'Idempotency-Key: order-4711'
submit 5 '"queue":"q5","maxAttempts":7'
claim 5
report 5 '"status":"Running","percentComplete":40,"statusDetail":"page 5","checkpoint":{"page":5}'
submit 6 '"queue":"q6"'
claim 6
report 6 '"status":"Completed","result":{"pages":12},"resourceLocation":"https://a.test/1"'
submit 7 '"queue":"q7"'
claim 7
report 7 "\"status\":\"Completed\",\"result\":\"$large\""
submit 8 '"queue":"q8"'
claim 8
report 8 '"status":"Failed","retryable":false,"error":{"code":"upstream","message":"It broke.","target":"it"}'
submit 9 '"queue":"q9"'
send POST "/v1.0/operations/$(id 9)/cancel" '{}' > "$scratch/answer"
submit 10 '"isExternal":true,"status":"Running","operationType":"migration"'
send PATCH "/v1.0/operations/$(id 10)" '{"percentComplete":7,"statusDetail":"table 2"}' > "$scratch/answer"
submit 11 '"queue":"q11","retry":{"initialDelaySeconds":3600,"maxDelaySeconds":3600,"factor":1,"jitter":0}'
claim 11
report 11 '"status":"Failed","error":{"code":"upstream","message":"It broke."}'
submit 12 '"queue":"q12"'
send POST "/v1.0/operations/$(id 12)/cancel" '{}' > "$scratch/answer"
send DELETE "/v1.0/operations/$(id 12)" '' > "$scratch/answer"

for number in 1 2 3 4 5 6 7 8 9 10 11; do
    curl -sSf "$url/v1.0/operations/$(id $number)"
    echo
done > "$into/shown.ndjson"
"$binary" token create --data "$scratch/data" ${store:+--store "$store"} --name golden \
    --scope Operation.ReadWrite --scope Operation.Execute > "$scratch/answer"
sed 's/.*"token":"\([^"]*\)".*/\1/' "$scratch/answer" > "$into/token"
kill $server
wait $server || true

if [ -n "$store" ]; then
    # What newer programs add for older ones not to understand.
    pg_dump --schema=longrun --no-owner --no-privileges "$store" | grep -v '^\\\(un\)\?restrict ' > "$into/longrun.sql"
else
    python3 -c 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute("PRAGMA wal_checkpoint(TRUNCATE)")' "$scratch/data/longrun.db"
    cp "$scratch/data/longrun.db" "$into/longrun.db"
fi
