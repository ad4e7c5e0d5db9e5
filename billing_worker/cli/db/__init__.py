"""The database: is it there, how is it, what is in it."""
