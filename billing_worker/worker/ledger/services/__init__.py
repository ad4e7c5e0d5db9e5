"""Use cases of the schedule ledger, one a file."""
