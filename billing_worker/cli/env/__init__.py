"""Read and write settings."""
