"""PostgreSQL: engine, unit of work, column types, locks, bulk writes, partitions."""
