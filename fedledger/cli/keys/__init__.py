"""Commands about threshold keys: a trainer's own key, a dealing, its check and its end."""
