"""Which node hosts which function, and why: problem, privacy, solve, repair, explain. It has no way to change anything."""
