"""What a run found: results, tables, plots, LaTeX, and the audit of its folder."""
