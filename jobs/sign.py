"""Sign copies of what was colorized (C2PA): ``python -m jobs.sign OUT --certificate chain.pem --key key.pem``.

OUT/signed receives a copy of every derivative, under the same name, with a signed manifest inside: made from which
scan, by which model, when. The derivatives stay as they are. Run again, the command signs what is new or changed;
delete OUT/signed to have everything signed anew. Nothing goes over the network but to OUT and, if named, to the time
stamp authority.

Exit codes: 0 every derivative has its signed copy; 1 the job itself failed; 2 asked for something impossible, said
before any work; 3 finished, but some could not be signed; 130 interrupted.
"""

from __future__ import annotations

import argparse
import hashlib
import mimetypes
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from colorize_core.content_credentials import CannotSign, Notary
from colorize_core.signatures import SIGNED, signed_key, unsigned, write_signatures
from colorize_core.storage import StorageError, Store
from jobs.interruption import stoppable
from jobs.progress import Progress

ALGORITHMS = ("es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519")
THREADS = 8  # most of whose time is the store's
TOGETHER = 256  # photos whose signatures are noted in one file


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    try:
        notary = Notary(args.certificate, args.key, args.algorithm, args.timestamp_url)
        store = Store(args.output)
        todo, already = unsigned(store)
        store.check(write=True)
    except LookupError as e:
        print(f"sign: {e.args[0]}; name the folder that was the job's second argument", file=sys.stderr)
        return 2
    except (CannotSign, StorageError, ValueError) as e:
        print(f"sign: {e}", file=sys.stderr)
        return 2

    def attempt(row: dict) -> dict | None:
        try:
            return sign(store, notary, row)
        except (CannotSign, StorageError) as e:
            print(f"not signed: {e}", file=sys.stderr)
            return None

    done, progress = 0, Progress(todo.num_rows, "photos")
    try:
        with stoppable(), ThreadPoolExecutor(THREADS) as pool:
            for batch in todo.to_batches(TOGETHER):
                if signatures := [signature for signature in pool.map(attempt, batch.to_pylist()) if signature]:
                    write_signatures(store, signatures)
                done += len(signatures)
                progress.add(batch.num_rows)
    except StorageError as e:
        print(f"sign: {e}; the same command goes on", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\ninterrupted after {done:,} photos; the same command goes on", file=sys.stderr)
        return 130
    failed = todo.num_rows - done
    print(f"{store.uri(SIGNED)}: {done:,} signed, {already:,} were signed before, {failed:,} could not be signed")
    return 3 if failed else 0


def sign(store: Store, notary: Notary, row: dict) -> dict:
    """Store the signed copy of a derivative; its signature as a row. Raises CannotSign and StorageError."""
    key = row["output_key"]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "derivative"), Path(folder, "signed")
        if store.fetch(store.stat(key), source) != row["output_sha256"]:
            raise CannotSign(f"{key} is not the file that its record tells of; colorize it again")
        notary.sign(row, source, target)
        with open(target, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        store.put(signed_key(key), target, mimetypes.guess_type(key)[0] or "application/octet-stream")
    return {
        "output_key": key,
        "output_sha256": row["output_sha256"],
        "signed_key": signed_key(key),
        "signed_sha256": sha256,
        "signed_at": datetime.now(UTC),
    }


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.sign", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("output", metavar="OUT", help="output folder of a colorize job: a path, s3://… or gs://…")
    add("--certificate", type=Path, required=True, metavar="PEM", help="chain of certificates, the signer's first")
    add("--key", type=Path, required=True, metavar="PEM", help="the signer's private key, PKCS #8 without a passphrase")
    add("--algorithm", choices=ALGORITHMS, default="es256", help="what the key signs with (default %(default)s)")
    add("--timestamp-url", metavar="URL", help="RFC 3161 time stamp authority, asked for every photo; with its stamps "
        "signatures stay valid when the certificate has run out (default: none)")  # fmt: skip
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
