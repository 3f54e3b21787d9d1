"""The tests: `python -m unittest`, from the folder above this one."""
