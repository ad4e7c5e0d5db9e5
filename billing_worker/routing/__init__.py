"""Which reaction follows which event: a plain table of facts, levels and effect kinds."""
