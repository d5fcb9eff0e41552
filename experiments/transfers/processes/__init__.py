"""The processes of a measurement: clients, servers, links between them, and what speaks in them."""
