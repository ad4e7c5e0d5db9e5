"""What operators did, by whom, why and how it ended."""
