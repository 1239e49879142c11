"""An S3 server in memory for the tests, with a bucket `stores`: prints its port, and ends when its standard input does.

`POST /age/<prefix>` makes the objects below a prefix of the bucket two days older, which no client of S3 can.
"""

import os
import sys
import threading
from datetime import timedelta

from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import make_server


BUCKET = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].create_bucket("stores", "us-east-1")


class Server:
    """Answers one request after the other, so that a condition holds until what it was for is done, as in S3."""

    def __init__(self):
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.lock = threading.Lock()

    def __call__(self, environ, start_response):
        with self.lock:
            path = environ["PATH_INFO"]
            if path.startswith("/age/"):
                age(path.removeprefix("/age/"))
                start_response("200 OK", [("Content-Length", "0")])
                return []
            return list(self.moto(environ, start_response))


def age(prefix):
    for name in list(BUCKET.keys):
        if name.startswith(prefix):
            BUCKET.keys[name].last_modified -= timedelta(days=2)


class Quiet(MotoRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_):
        pass


def main():
    server = make_server("127.0.0.1", 0, Server(), threaded=True, request_handler=Quiet)
    print(server.server_port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
    os._exit(0)


main()
