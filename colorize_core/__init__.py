"""Color for black-and-white photographs: open, predict, compose, encode, store. Knows nothing of Ray or Scrapy."""

__version__ = "0.1.0"
