"""In charge of what is kept of a file beside its bytes: its entity tag and its media type.

It is an extended attribute of the file (xattr(7)) and moves with it in the same rename: no crash
parts the two. It counts only while size and time of modification are those that it names.
"""

import errno
import json
import os
import re
from pathlib import Path

from springfield.stores.objects import ObjectInfo, header_value

ATTRIBUTE = "user.springfield"

_TAG = re.compile("[0-9a-f]{32}")
_UNSUPPORTED = {errno.ENOTSUP, errno.ENOSYS, errno.EPERM}


def read_record(file: int, facts: os.stat_result) -> ObjectInfo | None:
    """Return what is recorded of the open `file`; None when it was not written by us last."""
    try:
        record = json.loads(os.getxattr(file, ATTRIBUTE))
        is_of_this = (record["size"], record["mtime_ns"]) == (facts.st_size, facts.st_mtime_ns)
        if is_of_this and _TAG.fullmatch(record["tag"]):
            return ObjectInfo(facts.st_size, record["tag"], header_value(record["type"]))
    except OSError as error:
        if error.errno not in _UNSUPPORTED | {errno.ENODATA}:
            raise
    except (ValueError, KeyError, TypeError):  # another program's attribute of this name
        pass
    return None


def write_record(file: int, info: ObjectInfo) -> bool:
    """Record `info` of the open `file`; tell whether this file system can."""
    facts = os.fstat(file)
    record = {
        "size": facts.st_size,
        "mtime_ns": facts.st_mtime_ns,
        "tag": info.entity_tag,
        "type": info.media_type,
    }
    try:
        os.setxattr(file, ATTRIBUTE, json.dumps(record).encode())
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        return False
    return True


def keeps_records(directory: Path) -> bool:
    """Tell whether the file system of `directory` has extended attributes."""
    try:
        os.getxattr(directory, ATTRIBUTE)
    except OSError as error:
        return error.errno not in _UNSUPPORTED
    return True
