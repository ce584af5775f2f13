"""What a crawl does unless told otherwise. OUT and CONTACT have no default: every crawl names its own."""

from __future__ import annotations

from crawler import rights

BOT_NAME = "autochrome"
SPIDER_MODULES = ["crawler.spiders"]
COMMANDS_MODULE = "crawler.commands"
ADDONS = {"crawler.output.Output": 0}

OUT = None  # folder, s3://bucket/prefix or gs://bucket/prefix that receives originals/ and records/
CONTACT = None  # e-mail or URL, for the people whose servers are visited
RIGHTS = list(rights.DEFAULT)  # what may be downloaded
PRIVATE_HOSTS: list[str] = []  # host:port that may have a private address
MAX_BYTES = 256 << 20  # of one original

# Manners.
ROBOTSTXT_OBEY = True
ROBOTSTXT_USER_AGENT = "Autochrome"
AUTOTHROTTLE_ENABLED = True
AUTOTHROTTLE_START_DELAY = 1.0  # seconds between requests until the server's own speed is known
CONCURRENT_REQUESTS_PER_DOMAIN = 2
COOKIES_ENABLED = False
RETRY_TIMES = 5
RETRY_GIVE_UP_LOG_LEVEL = "DEBUG"  # what became of a photo or a page is said once, in words
DOWNLOAD_TIMEOUT = 180  # seconds
DOWNLOAD_VERIFY_CERTIFICATES = True
EXTENSIONS = {"crawler.manners.Manners": 0, "crawler.brevity.Brevity": 0}
DOWNLOAD_HANDLERS = {
    "http": "crawler.manners.MannerlyHandler",
    "https": "crawler.manners.MannerlyHandler",
    "data": None,
    "file": None,
    "ftp": None,
    "s3": None,
}

# Nothing listens, and nothing goes where addresses cannot be checked.
TELNETCONSOLE_ENABLED = False
REMOTE_CONTROL_ENABLED = False
HTTPPROXY_ENABLED = False  # a proxy resolves names by itself
TWISTED_DNS_RESOLVER = "scrapy.resolver.CachingHostnameResolver"  # IPv6 too
DOWNLOADER_MIDDLEWARES = {"crawler.addresses.Addresses": 560}  # sees a refused address before it would be retried
SPIDER_MIDDLEWARES = {"crawler.pages.Pages": 10}

# Photos. A page counts as open until its photos are done, so listing waits for downloading.
ITEM_PIPELINES = {"crawler.originals.Originals": 100}
CONCURRENT_ITEMS = 4  # of one page
SCRAPER_SLOT_MAX_ACTIVE_SIZE = 200_000  # bytes of open pages
DEFAULT_DROPITEM_LOG_LEVEL = "DEBUG"

# Records.
FEED_STORAGES = {"records": "crawler.output.RecordStorage"}
FEED_EXPORTERS = {"parquet": "crawler.exporter.ParquetExporter"}
FEED_EXPORT_BATCH_ITEM_COUNT = 100
FEED_STORE_EMPTY = False

LOG_LEVEL = "INFO"
LOG_VERSIONS: list[str] = []
STATS_DUMP = False  # the summary says it
