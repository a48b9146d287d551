"""Make an image's bytes depend on its content only: replace its random identifier and its dates by fixed ones.

    SOURCE_DATE_EPOCH=… python same_bytes.py image.sif

A rebuilt image with the same content is then the same file, with the same checksum. The offsets are those of the
Singularity Image Format's header (a global one, then a table of descriptors).
"""

import os
import struct
import sys

MAGIC, ID, DATES, TABLE = 32, 48, 64, 88  # offsets in the global header; TABLE: number of descriptors, their offset
DESCRIPTOR, DESCRIPTOR_DATES = 585, 41  # a descriptor's size, and the offset of its two dates


def main(path: str) -> None:
    """Rewrite identifier and dates of the image in place."""
    dates = struct.pack("<2q", *[int(os.environ["SOURCE_DATE_EPOCH"])] * 2)
    with open(path, "r+b") as image:
        header = image.read(128)
        if header[MAGIC : MAGIC + 9] != b"SIF_MAGIC":
            sys.exit(f"error: {path}: not an image in the Singularity Image Format")
        count, table = struct.unpack_from("<2q", header, TABLE)
        image.seek(ID)
        image.write(bytes(DATES - ID) + dates)
        for i in range(count):
            start = table + i * DESCRIPTOR
            image.seek(start)
            if image.read(5)[4]:  # in use
                image.seek(start + DESCRIPTOR_DATES)
                image.write(dates)


if __name__ == "__main__":
    main(*sys.argv[1:])
