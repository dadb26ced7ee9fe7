"""In charge of the commands that write items. Each carries its condition; the server decides.

A command with a condition is PyMongo's form for many documents, which it never repeats: a server that
does not recognise the repetition would tell the winner of a race that it lost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from bson.raw_bson import RawBSONDocument
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, DocumentTooLarge, WriteError

from springfield.errors import NotStorable, SpringfieldError
from springfield.model import Name
from springfield.stores.mongodb.errors import DUPLICATE_KEY, TEMPORARY, Server
from springfield.stores.mongodb.exactness import READ
from springfield.stores.mongodb.lifetimes import ALIVE
from springfield.stores.mongodb.updates import NAME_IS_ARRAY, NewItem
from springfield.stores.mongodb.upkeep import Documents, Traits, named

_UPSERT_ATTEMPTS = 3  # concurrent upserts of one new name make all but one fail, once or twice


@dataclass(frozen=True, slots=True)
class Writes:
    """The writes of one adapter to a collection of these traits."""

    documents: Documents
    server: Server
    traits: Traits

    async def upsert(
        self, new: Mapping[Name, NewItem], attempts: int = _UPSERT_ATTEMPTS
    ) -> dict[Name, SpringfieldError]:
        """Insert or overwrite. Return what was refused. One command, or few for new names.

        By the name alone, so that every server uses its index; a document whose name is an array that
        has it as a member fails by itself, and then that name is written with the whole condition.
        """
        if not new:
            return {}
        errors = await self._send({name: {"name": name} for name in new}, new)
        shadowed = [name for name, each in errors.items() if each["code"] == NAME_IS_ARRAY]
        if shadowed:
            for name in shadowed:
                del errors[name]
            errors |= await self._send({name: named(name) for name in shadowed}, new)
        collided = [name for name, each in errors.items() if each["code"] == DUPLICATE_KEY]
        again = {name: new[name] for name in collided} if attempts > 1 else {}
        refused = {
            name: self.server.refused_item(each)
            for name, each in errors.items()
            if name not in again
        }
        return refused | await self.upsert(again, attempts - 1)

    async def _send(
        self, conditions: Mapping[Name, dict[str, Any]], new: Mapping[Name, NewItem]
    ) -> dict[Name, dict[str, Any]]:
        updates = [
            UpdateOne(condition, new[name].replacing(), upsert=True, **self.traits.compared)
            for name, condition in conditions.items()
        ]
        try:
            await self.documents.bulk_write(updates, ordered=False)
        except BulkWriteError as error:
            if error.details["writeConcernErrors"]:
                raise
            names = list(conditions)
            return {names[each["index"]]: each for each in error.details["writeErrors"]}
        return {}

    async def insert(self, name: Name, new: NewItem) -> bool:
        """Insert where nothing is, or what has ended; tell whether it was done.

        By the name alone, and the whole condition, as `upsert`.
        """
        try:
            return await self._insert({"name": name}, new)
        except WriteError as error:
            if error.code != NAME_IS_ARRAY:
                self._refuse(error)
        try:
            return await self._insert(named(name), new)
        except WriteError as error:
            self._refuse(error)

    async def _insert(
        self, condition: Mapping[str, Any], new: NewItem, attempts: int = _UPSERT_ATTEMPTS
    ) -> bool:
        # A failed upsert of a new name wrote nothing, so that it may be repeated: next time it finds
        # the document of the one that won, or it is a collision of names.
        try:
            done = await self.documents.update_many(
                condition, new.inserting(), upsert=True, **self.traits.compared
            )
        except WriteError as error:
            if error.code == DUPLICATE_KEY and attempts > 1:
                return await self._insert(condition, new, attempts - 1)
            raise
        return done.upserted_id is not None or done.modified_count > 0

    async def exchange(
        self,
        name: Name,
        document: bytes,
        conditions: Sequence[dict[str, Any]],
        new: NewItem | None,
    ) -> bool:
        """Replace or delete the `document` that was read; tell whether it was there. One command.

        An equal new value is counted as well: what matters is the match.
        """
        alive = [ALIVE] if self.traits.expires else []
        condition = {**named(name), "$expr": {"$and": [*conditions, *alive]}}
        read = {READ: {"$literal": RawBSONDocument(document)}}
        if new is None:
            gone = await self.documents.delete_many(condition, let=read, **self.traits.compared)
            return gone.deleted_count > 0
        try:
            done = await self.documents.update_many(
                condition, new.replacing(), let=read, **self.traits.compared
            )
        except DocumentTooLarge as error:  # PyMongo sends no command of over 16 MiB
            raise NotStorable(
                "The old value and the new one together are larger than the 16 MiB that a command "
                "to MongoDB takes; write without a precondition."
            ) from error
        except WriteError as error:
            self._refuse(error)
        return done.matched_count > 0

    def _refuse(self, error: WriteError) -> NoReturn:
        if error.code in TEMPORARY:  # interrupted, perhaps after it was done
            raise error
        raise self.server.refused_item(error.details or {}) from error
