"""Vibration recordings as public data sets hold them."""
