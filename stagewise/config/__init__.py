"""What an experiment is: typed settings."""
