"""What operators ask of the installation."""
