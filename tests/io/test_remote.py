"""Errors of the clients of object storage: their cause, and whether a rerun may help."""

import pytest

from footage.io.remote import explained, is_temporary, stamp_of


class HttpError(Exception):
    """Like the exception of gcsfs."""

    def __init__(self, message, code):
        super().__init__(f"{message}, {code}")
        self.code = code


class HttpResponseError(Exception):
    """Like the exception of the Azure SDK."""

    def __init__(self, message, status_code):
        super().__init__(f"{message}\nRequestId:1234\nContent: <Error>...</Error>")
        self.status_code = status_code


class ClientAuthenticationError(HttpResponseError):
    pass


@pytest.mark.parametrize(
    ("url", "error", "message", "hint"),
    [
        ("gs://a/b", HttpError("Anonymous caller does not have access", 401),
         "access is denied (Anonymous caller does not have access, 401)", "credentials are valid"),
        ("gs://a/b", OSError("Forbidden: https://host/b\nno access to the object."),
         "access is denied (Forbidden: https://host/b no access to the object.)", "grant access"),
        ("az://a/b", HttpResponseError("This request is not authorized.", 403),
         "access is denied (This request is not authorized.)", "grant access"),
        ("az://a/b", ClientAuthenticationError("Token expired.", 401),
         "no valid credentials for az:// were found", "AZURE_STORAGE_CONNECTION_STRING"),
        ("az://a/b", ValueError("unable to connect to account for Must provide credentials!!"),
         "no valid credentials for az:// were found", "AZURE_STORAGE_CONNECTION_STRING"),
        ("az://a/b", HttpResponseError("The server is busy.", 503),
         "HttpResponseError: The server is busy.", "check the URL and the network"),
        ("gs://a/b", HttpError("Too many requests", 429), "Too many requests, 429", "the network"),
    ],
)  # fmt: skip
def test_refusals_of_all_services_are_explained_and_temporary(url, error, message, hint):
    shown = explained(url, error)
    assert shown[0].startswith(f"'{url}' cannot be read: ")
    assert shown[0].endswith(message)
    assert hint in shown[1]
    assert is_temporary(error)


@pytest.mark.parametrize(
    "error", [HttpError("No such object", 404), ValueError("bad"), HttpResponseError("Range", 416)]
)
def test_other_errors_are_lasting(error):
    assert not is_temporary(error)


def test_a_file_whose_metadata_changes_is_the_same_file():
    before = {"size": 3, "etag": "CAE=", "generation": "17", "updated": "2026-11-30"}
    assert stamp_of(before) == stamp_of({**before, "etag": "CAI=", "updated": "2026-12-01"})
    assert stamp_of(before) != stamp_of({**before, "generation": "18"})
