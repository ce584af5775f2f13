"""One thin script per verb; Ray lives here and nowhere else."""
