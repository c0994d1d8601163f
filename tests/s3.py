"""An S3 server on this machine, as programs meet it: by HTTP, found by the AWS variables."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


class Bucket:
    """A bucket of the server, seen past the package."""

    def __init__(self, client: Any, name: str) -> None:
        self.client, self.name, self.url = client, name, f"s3://{name}"

    def keep_versions(self) -> None:
        self.client.put_bucket_versioning(Bucket=self.name, VersioningConfiguration={"Status": "Enabled"})

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def get(self, key: str) -> bytes:
        return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)

    def names(self) -> list[str]:
        return [entry["Key"] for entry in self.client.list_objects_v2(Bucket=self.name).get("Contents", ())]

    def versions(self) -> list[str]:
        """Keys of all versions and of all marks of deletion."""
        found = self.client.list_object_versions(Bucket=self.name)
        return [entry["Key"] for kind in ("Versions", "DeleteMarkers") for entry in found.get(kind, ())]


class Server:
    """The server; ``stop`` and ``start`` are what an outage is."""

    def __init__(self) -> None:
        self._moto: Any = None
        self._port = 0
        self.start()

    def start(self) -> None:
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._moto = ThreadedMotoServer("127.0.0.1", self._port)
        self._moto.start()
        self._port = self._moto.get_host_and_port()[1]

    def stop(self) -> None:
        self._moto.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def bucket(self, name: str) -> Bucket:
        import boto3

        client = boto3.client("s3")
        client.create_bucket(Bucket=name)
        return Bucket(client, name)


@contextmanager
def running() -> Iterator[Server]:
    """Start it, and let everybody in this process find it."""
    server = Server()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", server.url)
        patch.setenv("AWS_ACCESS_KEY_ID", "clerk")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        try:
            yield server
        finally:
            server.stop()
