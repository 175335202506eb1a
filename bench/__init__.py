"""Speed: ``python -m bench``."""
