"""Commands of experiments: apps to begin with, data sets, runs."""
