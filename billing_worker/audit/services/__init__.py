"""What is done with operators' actions."""
