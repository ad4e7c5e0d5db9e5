"""The troubleshooting guide as checks: symptom, evidence, root cause, the commands that mend it."""
