"""A federation rehearsed on one machine: a network of namespaces, with links that lose and break.

`make edge-rehearsal` follows docs/edge.md with a machine for the server, the chain, the store, an
auditor and each device. `python -m rehearsal --help` has the rest.
"""
