#!/bin/sh
# Starts the SuperLink: TLS, and SuperNodes that authenticate with registered keys. Options that are
# added on the command line win.
cd "$(dirname "$0")" && . ./env.sh || exit
exec flower-superlink --ssl-ca-certfile tls/ca.crt --ssl-certfile tls/server.crt \
    --ssl-keyfile tls/server.key --enable-supernode-auth --host "${BIND:-@BIND@}" --port @PORT@ \
    --database superlink.db --disable-runtime-dependency-installation "$@"
