"""The page people look at: what a colorization made, before and after, and what deserves a second look."""

from colorize_core.report.page import Report, write_report

__all__ = ["Report", "write_report"]
