"""Running a config's cells: engines, workers, clients, and the folder that a run leaves."""
