"""What workers count for Prometheus, through the metrics agent of the Ray node they run on.

For rates and latencies only: the counts of a worker vanish with it. What became of each photo is in its record.
"""

from __future__ import annotations

from ray.util.metrics import Counter, Histogram

from colorize_core.records import STAGES, Record, Status

SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0]


class Meter:
    """Counters of one worker; Ray puts ``ray_`` before their names."""

    def __init__(self) -> None:
        self.photos = Counter("autochrome_photos_total", "Photos settled", ("status", "error_class"))
        self.seconds = Histogram("autochrome_stage_seconds", "Seconds that a photo took", SECONDS, ("stage",))
        self.pixels = Counter("autochrome_pixels_total", "Pixels of the photos colorized")
        self.read = Counter("autochrome_read_bytes_total", "Bytes of the scans settled")
        self.written = Counter("autochrome_written_bytes_total", "Bytes of the derivatives stored")

    def count(self, record: Record) -> Record:
        """Count a settled record, and give it back."""
        self.photos.inc(1, {"status": str(record.status), "error_class": record.error_class or ""})
        for stage in STAGES:
            if (milliseconds := getattr(record, f"ms_{stage}")) is not None:
                self.seconds.observe(milliseconds / 1000, {"stage": stage})
        if record.page == 0 and record.source_size:
            self.read.inc(record.source_size)
        if record.status == Status.COLORIZED:
            self.pixels.inc((record.width or 0) * (record.height or 0))
            self.written.inc(record.output_size or 0)
        return record
