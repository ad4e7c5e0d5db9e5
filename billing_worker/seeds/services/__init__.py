"""What can be done with test data, one use each."""
