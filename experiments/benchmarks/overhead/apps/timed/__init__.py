"""The app of the benchmark `overhead`."""
