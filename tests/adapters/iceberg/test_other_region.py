"""A bucket in another region is an error, with the region if the store names it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from botocore.exceptions import ClientError

from datafingerprint.adapters.iceberg.checkup import LakeCheckup
from datafingerprint.adapters.iceberg.connection import LakeFileIO, file_properties, require_bucket
from datafingerprint.adapters.iceberg.errors import translate, translated
from datafingerprint.config import Settings, load_settings
from datafingerprint.errors import ConfigError, LakeError

ELSEWHERE = "eu-west-3"
MALFORMED = f"""<?xml version="1.0"?><Error><Code>AuthorizationHeaderMalformed</Code>
<Message>The authorization header is malformed; the region 'us-east-1' is wrong; expecting '{ELSEWHERE}'</Message>
<Region>{ELSEWHERE}</Region></Error>"""


class Store(BaseHTTPRequestHandler):
    """Answers like S3 for a bucket of another region, for a request signed for any region."""

    status, body = 301, ""

    def _answer(self) -> None:
        content = self.body.encode()
        self.send_response(self.status)
        self.send_header("x-amz-bucket-region", ELSEWHERE)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_PUT = do_POST = _answer  # noqa: N815 - the library's names

    def log_message(self, *_words: object) -> None:
        """Logs nothing."""


@pytest.fixture(params=[(301, ""), (400, MALFORMED)], ids=["redirect", "malformed"])
def settings(request: pytest.FixtureRequest) -> Iterator[Settings]:
    status, body = request.param
    kind = type("Answering", (Store,), {"status": status, "body": body})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    s3 = {"endpoint": f"http://127.0.0.1:{server.server_port}", "access_key": "a", "secret_key": "b", "bucket": "lake"}
    yield load_settings({"s3": s3}, {})
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_region_that_the_store_names_is_in_the_error(settings: Settings) -> None:
    with pytest.raises(ConfigError) as error:
        require_bucket(settings.s3)
    assert f"the bucket is in region {ELSEWHERE}, [s3] region is us-east-1 at bucket lake" in str(error.value)
    assert error.value.remedy == f'set [s3] region = "{ELSEWHERE}"'
    (finding,) = [result for result in LakeCheckup(settings).findings(None) if result.part == "bucket"]
    assert (finding.severity.value, finding.remedy) == ("problem", error.value.remedy)


@pytest.mark.parametrize("settings", [(301, "")], indirect=True)
def test_a_reader_without_a_check_of_the_bucket_gets_the_error_too(settings: Settings) -> None:
    with pytest.raises(ConfigError, match="region"), translated("reading", where="the lake"):
        LakeFileIO(file_properties(settings.s3)).new_input("s3://lake/x").open()


def test_a_refusal_in_the_right_region_stays_a_refusal() -> None:
    error = ClientError({"Error": {"Code": "403", "Message": "Forbidden"}}, "HeadBucket")
    assert isinstance(translate(error, "looking for the bucket", "the lake"), LakeError)
