#!/bin/sh
# Submits an operation and waits for its end: submit-and-wait.sh TYPE [INPUT]. Prints it; exits 0 when it has completed.
server=${LONGRUN_SERVER:-http://127.0.0.1:8470} type=${1:?operation type} input=${2:-null}
call() { curl -sS --max-time 90 -H 'Content-Type: application/json' ${LONGRUN_TOKEN:+-H "Authorization: Bearer $LONGRUN_TOKEN"} "$@"; }
# A key of our own makes sending it again safe, and an id of our own is where to look for it.
id=$(cat /proc/sys/kernel/random/uuid 2>/dev/null || uuidgen)
while :; do
  status=$(call -o /dev/null -w '%{http_code}' "$server/v1.0/operations" -H "Idempotency-Key: $id" \
    -d "{\"id\":\"$id\",\"operationType\":\"$type\",\"input\":$input}")
  case $status in
    2??) break ;;
    429 | 5?? | 000) sleep 1 ;; # Busy, or not there: the same again.
    *) echo "refused: $status" >&2; exit 2 ;;
  esac
done
while :; do
  operation=$(call -f "$server/v1.0/operations/$id" -H 'Prefer: wait=60') || { sleep 1; continue; }
  case $operation in
    *'"status":"Completed"'*) printf '%s\n' "$operation"; exit 0 ;;
    *'"status":"Failed"'*) printf '%s\n' "$operation"; exit 1 ;;
  esac
done
