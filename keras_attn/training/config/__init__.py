"""Settings of trainings and their defaults, one dataclass per task, and options of a single run."""
