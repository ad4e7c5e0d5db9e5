"""The schedule ledger: each slot of each job is a row, run exactly once, however long the scheduler was down."""
