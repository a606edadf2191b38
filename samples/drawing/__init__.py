"""The pictures of samples/, drawn by code alone; `samples/make_samples.py` writes them."""
