"""How good colorizations are: what a job prints beside the baselines that anything has to beat."""
