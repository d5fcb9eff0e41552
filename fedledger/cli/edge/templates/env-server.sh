# Flower wants the authority's path absolute: that of this folder, wherever it was carried.
grep -qF "\"$PWD/tls/ca.crt\"" flwr/config.toml || (
    umask 077
    here=$(printf %s "$PWD" | sed 's/[&|\\]/\\&/g')
    sed "s|^root-certificates = .*/tls/ca.crt\"|root-certificates = \"$here/tls/ca.crt\"|" \
        flwr/config.toml > flwr/config.new && mv flwr/config.new flwr/config.toml
)
