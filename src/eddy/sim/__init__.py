"""Stand-ins for the outside world: lines, sensors, faults."""
