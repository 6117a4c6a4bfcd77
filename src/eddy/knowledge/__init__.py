"""What happened, durable: the spool of what has come over a hop, windows, events, models, decisions."""
