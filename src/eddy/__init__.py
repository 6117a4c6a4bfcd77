"""Eddy: the machine-learning loop of an IoT system, from microcontroller to cloud."""
