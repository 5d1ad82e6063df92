"""Say why there was no answer, and whether the call may have been carried out.

Pure: an exception of the layers below in, a ``PortError`` out.
"""

import errno
import os
import socket

from requests.exceptions import ConnectTimeout, ReadTimeout

from qlop.ports import ErrorKind, PortError, PveCall
from qlop.pve import tls


def unsent(authority: str, error: BaseException) -> PortError:
    """Return what it means that no connection came about: nothing happened."""
    trouble = tls.explain(error)
    if trouble is not None:
        return PortError(ErrorKind.DENIED, f"{authority}: {trouble}")
    return PortError(ErrorKind.TRANSIENT, f"{authority}: {_brief(error)}")


def lost(call: PveCall, authority: str, error: BaseException) -> PortError:
    """Return what it means that a request went out and no whole answer came back."""
    kind = ErrorKind.AMBIGUOUS if call.is_mutation else ErrorKind.TRANSIENT
    return PortError(kind, f"{authority}: {_brief(error)} after the request was sent")


def _brief(error: BaseException) -> str:
    for cause in tls.causes(error):
        if isinstance(cause, socket.gaierror):
            return "the name does not resolve"
        if isinstance(cause, ConnectTimeout):
            return "no connection in time"
        if isinstance(cause, ReadTimeout | TimeoutError):
            return "no answer in time"
    for cause in tls.causes(error):
        number = cause.errno if isinstance(cause, OSError) else None
        if number is not None and number in errno.errorcode:
            return os.strerror(number).lower()
    innermost = list(tls.causes(error))[-1]
    return f"{type(innermost).__name__}: {innermost}"
