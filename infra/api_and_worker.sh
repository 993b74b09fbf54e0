#!/bin/sh
# Runs the API and one worker with the Python that is given, until the API ends or both are told to.
"$1" main.py &
api=$!
"$1" -m app.worker &
worker=$!
trap 'kill "$api" "$worker" 2>/dev/null' INT TERM
wait "$api"
kill "$api" "$worker" 2>/dev/null
wait
