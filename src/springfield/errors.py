"""In charge of naming everything that can go wrong. The only error tree; it knows no HTTP.

::

    SpringfieldError
    ├── Refused                   the request cannot be taken as it is; repeating it changes nothing
    │   ├── InvalidName           invalid-name
    │   ├── InvalidContent        invalid-content
    │   ├── InvalidParameter      invalid-parameter
    │   ├── Missing               not-found
    │   ├── PreconditionFailed    precondition-failed
    │   ├── NameCollision         name-collision
    │   ├── WrongType             wrong-type
    │   ├── TooLarge              too-large
    │   └── NotStorable           not-storable
    ├── StoreError                the store, not the request, is at fault
    │   ├── Unavailable           not-done
    │   ├── ListingTooExpensive   listing-too-expensive
    │   ├── OutcomeUnknown        outcome-unknown
    │   ├── Unreadable            stored-value-unreadable
    │   └── Misconfigured         store-misconfigured
    │       └── Unsuitable        store-misconfigured
    └── UpstreamError
        ├── UpstreamFailed        upstream-failed
        └── UpstreamTooSlow       upstream-too-slow

An adapter raises these and chains the driver's exception as the cause. ``web/problems.py``
turns them into HTTP. A code, once published, keeps its meaning.
"""

from typing import ClassVar


class SpringfieldError(Exception):
    """Something went wrong that a caller can be told about.

    ``str(error)`` is one sentence for the client: what happened, where, and what to do.
    It never holds a secret. ``temporary`` says whether the same call may succeed later.
    """

    code: ClassVar[str]
    temporary: ClassVar[bool] = False


class Refused(SpringfieldError):
    """The request cannot be taken as it is."""


class InvalidName(Refused):
    """The name is not 1 to 512 bytes of UTF-8 without control characters."""

    code = "invalid-name"


class InvalidContent(Refused):
    """The content is not what its kind says: not JSON (RFC 8259), or not UTF-8."""

    code = "invalid-content"


class InvalidParameter(Refused):
    """A query parameter or header field has no meaning here."""

    code = "invalid-parameter"


class Missing(Refused):
    """There is no such item."""

    code = "not-found"


class PreconditionFailed(Refused):
    """If-Match or If-None-Match is false for what the store holds now (RFC 9110, section 13)."""

    code = "precondition-failed"


class NameCollision(Refused):
    """The store would keep this name and one that it already holds in the same place."""

    code = "name-collision"


class WrongType(Refused):
    """Under this name the store holds something else, such as a Redis list."""

    code = "wrong-type"


class TooLarge(Refused):
    """The content is over the size limit of its resource."""

    code = "too-large"


class NotStorable(Refused):
    """The name or the content is fine in itself, but this store cannot keep it whole."""

    code = "not-storable"


class StoreError(SpringfieldError):
    """A store is at fault. ``slow`` is true when a deadline passed before it answered."""

    def __init__(self, detail: str, *, slow: bool = False) -> None:
        super().__init__(detail)
        self.slow = slow


class Unavailable(StoreError):
    """The store could not be asked, or did not answer a read: nothing was written."""

    code = "not-done"
    temporary = True

    def __init__(self, detail: str, *, slow: bool = False, retry_after: float = 1.0) -> None:
        super().__init__(detail, slow=slow)
        self.retry_after = retry_after
        """Seconds from now when asking again makes sense."""


class ListingTooExpensive(StoreError):
    """A page of names could not be found in time: the store must look at too many keys."""

    code = "listing-too-expensive"
    temporary = True


class OutcomeUnknown(StoreError):
    """A write was sent and no answer came: it may have happened or may happen yet."""

    code = "outcome-unknown"
    temporary = True


class Unreadable(StoreError):
    """What the store holds under this name is not content of this resource's kind."""

    code = "stored-value-unreadable"


class Misconfigured(StoreError):
    """The store answers, but cannot serve this resource until an operator changes something."""

    code = "store-misconfigured"


class Unsuitable(Misconfigured):
    """The store could never hold this resource, such as bytes in a text column.

    Seen at start, it stops the service.
    """


class UpstreamError(SpringfieldError):
    """The upstream service is at fault."""

    temporary = True


class UpstreamFailed(UpstreamError):
    """The upstream failed or answered something that cannot be understood."""

    code = "upstream-failed"


class UpstreamTooSlow(UpstreamError):
    """The upstream did not answer in time."""

    code = "upstream-too-slow"
