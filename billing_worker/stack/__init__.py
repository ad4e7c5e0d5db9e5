"""The embedded one-machine stack: PostgreSQL, Redis, the sandbox and all our processes, started by command line."""
