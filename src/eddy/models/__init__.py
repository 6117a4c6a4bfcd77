"""The loop's middle phases, one file each: create, adapt, verify, package."""
