"""In charge of judging what MySQL and a table say of themselves, for `springfield check`."""

from collections.abc import Sequence
from typing import Any

from springfield.model import NAME_LIMIT
from springfield.stores.mysql.table import Table
from springfield.stores.store import Inspection

FACTS = "SELECT VERSION(), @@innodb_flush_log_at_trx_commit, @@log_bin, @@sync_binlog"


def inspection_of(facts: Sequence[Any], table: Table, item_limit: int) -> Inspection:
    """Judge the row that `FACTS` gives, and the table, for items up to `item_limit` bytes."""
    version, *settings = facts
    product = "MariaDB" if "MariaDB" in version else "MySQL"
    warnings = [*_durability(*settings), *_names(table), *_sizes(table, item_limit)]
    if table.engine.lower() != "innodb":
        warnings.append(f"{table.title} is kept by {table.engine}, which may lose writes.")
    if table.expiry and not table.expiry.is_indexed:
        warnings.append(
            f"Expired rows of {table.title} are never removed, because no index begins with "
            f"{table.expiry.name}; add one."
        )
    return Inspection(product, version.partition("-")[0], warnings)


def _durability(flush: int, has_log: int, sync: int) -> list[str]:
    warnings: list[str] = []
    if flush != 1:
        warnings.append(
            f"innodb_flush_log_at_trx_commit is {flush}: a crash loses acknowledged writes; set 1."
        )
    if has_log and sync != 1:
        warnings.append(
            f"sync_binlog is {sync}: after a crash replicas may lack acknowledged writes; set 1."
        )
    return warnings


def _names(table: Table) -> list[str]:
    warnings: list[str] = []
    if table.name.is_text:
        warnings.append(
            f"The names of {table.title} are compared by {table.name.collation}: names that it "
            "takes for equal are refused, and every page of a listing reads all names; "
            f"VARBINARY({NAME_LIMIT}) keeps all names apart."
        )
    if table.name.characters < NAME_LIMIT:
        warnings.append(f"Names over {table.name.characters} characters are refused.")
    return warnings


def _sizes(table: Table, item_limit: int) -> list[str]:
    warnings: list[str] = []
    if table.content.octets < item_limit:
        warnings.append(
            f"Contents over {table.content.octets} bytes or {table.content.characters} "
            "characters are refused, although the resource "
            f"allows {item_limit}."
        )
    largest = min(table.content.octets, item_limit)
    if not table.can_send(2 * largest):
        warnings.append(
            f"max_allowed_packet is {table.max_packet}, too little for items of {largest} bytes, "
            "which travel twice under a precondition; raise it."
        )
    return warnings
