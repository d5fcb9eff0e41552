"""The clients: they train on their share of the data and sign what they send."""

from fedledger.experiments.run.client import build_client_app

app = build_client_app()
