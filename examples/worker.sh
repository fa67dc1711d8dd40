#!/bin/sh
# A worker in shell: carries out operations of the type `shout`. Ends after $1 calls; runs for ever without.
server=${LONGRUN_SERVER:-http://127.0.0.1:8470}
worker="shell:$$:$(date +%s)" calls=0
field() { sed -n "s/.*\"$1\":\"*\([^\",}]*\).*/\1/p"; }
work() {
  curl -sS --max-time 40 "$server/v1.0/work" -H 'Content-Type: application/json' \
    ${LONGRUN_TOKEN:+-H "Authorization: Bearer $LONGRUN_TOKEN"} -d "$1"
}
while [ "$calls" -lt "${1:-999999999}" ]; do
  calls=$((calls + 1))
  answer=$(work "{\"workerId\":\"$worker\",\"claim\":{\"id\":\"$calls\",\"operationTypes\":[\"shout\"],\"waitSeconds\":20}}")
  id=$(echo "$answer" | field id)
  [ -n "$id" ] || continue
  token=$(echo "$answer" | field token)
  loud=$(echo "$answer" | field text | tr '[:lower:]' '[:upper:]')
  work "{\"workerId\":\"$worker\",\"reports\":[{\"id\":\"$id\",\"leaseToken\":$token,\
\"status\":\"Completed\",\"result\":{\"text\":\"$loud\"}}]}" > /dev/null
done
