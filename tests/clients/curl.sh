#!/bin/sh
# Sends requests with curl; matrix.py describes the arguments and the output. The first argument is yes to wait for
# "100 Continue", as curl does by itself before it sends a large body, or no.
wait=$1 url=$2 kind=$3 path=$4 count=$5 token=$6

set --
[ "$wait" = yes ] || set -- "$@" -H 'Expect:'
[ -z "$token" ] || set -- "$@" -H "Authorization: Bearer $token"
if [ "$kind" = form ]; then
  set -- "$@" -F "file=@$path;filename=photo.jpg"
else
  set -- "$@" -H 'Content-Type: text/plain' --data-binary "@$path"
fi
health=$(printf %s "$url" | cut -d/ -f1-3)/health/live

for _ in $(seq "$count"); do
  # Both requests in one process, so that the second could use the first one's connection.
  said=$(curl --silent --show-error "$@" "$url" --next --silent --show-error "$health" 2>&1)
  case $said in
  *'"status":'[45]*'{"status":"ok"'*) printf '%s\n' "$said" | sed 's/.*"status":\([0-9]*\),.*/\1/' ;;
  *) printf '%s\n' "$said" | tr -d '"\\' | head -n 1 ;;
  esac
done | sort | uniq -c | awk '{ n = $1; $1 = ""; printf "%s\"%s\": %d", sep, substr($0, 2), n; sep = ", " }
  BEGIN { printf "{" } END { print "}" }'
