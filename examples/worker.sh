#!/bin/sh
# A worker: claims operations of the type `shout`, completes them with their text in capitals; ends after $1 of them.
server=${LONGRUN_SERVER:-http://127.0.0.1:8470} worker="shell:$$" left=${1:-1000000} turn=0 reports=""
# The first value of a name among the claimed operations of the answer, up to a quotation mark, a comma or a brace.
value() { printf '%s' "${answer#*\"operations\":}" | grep -o "\"$1\":\"\{0,1\}[^\",}]*" | sed -n "1s/\"$1\":\"\{0,1\}//p"; }
while :; do
  turn=$((turn + 1)) want=""
  # A claim has an id of its own; with nothing to report the call waits up to 20 s for an operation.
  [ "$left" -gt 0 ] && want=",\"claim\":{\"id\":\"$turn\",\"operationTypes\":[\"shout\"],\"waitSeconds\":20}"
  call="{\"workerId\":\"$worker\",\"reports\":[$reports]$want}"
  # A lost answer costs nothing: the same call, sent again, gets the same one.
  until answer=$(curl -sSf "$server/v1.0/work" -H 'Content-Type: application/json' \
    ${LONGRUN_TOKEN:+-H "Authorization: Bearer $LONGRUN_TOKEN"} -d "$call"); do sleep 1; done
  reports="" id=$(value id) token=$(value token)
  [ -z "$id" ] && { [ "$left" -gt 0 ] && continue || exit 0; }
  loud=$(value input | tr -d '\\' | tr '[:lower:]' '[:upper:]') left=$((left - 1))
  reports="{\"id\":\"$id\",\"leaseToken\":$token,\"status\":\"Completed\",\"result\":\"$loud\"}"
done
