"""The crawler: a Scrapy project that keeps an archive's photographs as they are served, a Parquet row for each."""
