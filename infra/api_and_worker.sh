#!/bin/sh
# Runs the API and one worker with the given Python interpreter, until the API ends or this script is stopped.
"$1" main.py &
api=$!
"$1" -m app worker &
worker=$!
trap 'kill "$api" "$worker" 2>/dev/null' INT TERM
wait "$api"
kill "$api" "$worker" 2>/dev/null
wait
