"""In charge of query parameters: what was sent, or 400.

Tornado's own way makes a space of a control character and strips: another prefix would be listed.
"""

import re

from tornado.httputil import HTTPServerRequest

from springfield.errors import InvalidParameter

BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def parameter(request: HTTPServerRequest, name: str) -> str | None:
    """Return the parameter as it was sent; raise InvalidParameter for two and for no UTF-8.

    So it does for a query with a broken escape, which Tornado would take as it is.
    """
    if not request.query:
        return None
    values = request.query_arguments.get(name, [])
    if values and BROKEN_ESCAPE.search(request.query):
        raise InvalidParameter("The query has a % without two hexadecimal digits.")
    if len(values) > 1:
        raise InvalidParameter(f"The parameter {name} is given {len(values)} times; give it once.")
    try:
        return values[0].decode() if values else None
    except UnicodeDecodeError:
        raise InvalidParameter(f"The parameter {name} is not valid UTF-8.") from None
