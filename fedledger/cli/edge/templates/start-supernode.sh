#!/bin/sh
# Starts the SuperNode of @NAME@. Options that are added on the command line win.
cd "$(dirname "$0")" && . ./env.sh || exit
exec flower-supernode --superlink "$SUPERLINK" --root-certificates ca.crt \
    --auth-supernode-private-key node.key --node-config "$(cat node-config)" "$@"
