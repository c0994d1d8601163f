"""A Milvus server of the tests' own: the standalone one, with its etcd inside, that the wheel ``milvus`` brings."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

HASTE = {"proxy.timeTickInterval": 20, "queryCoord.checkInterval": 50, "queryCoord.distPullInterval": 50}
"""Milliseconds between its looks at what is to be done."""


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Start it, and end it. Others may run beside it: the wheel gives each one's etcd the same ports, we do not.

    Args:
        folder: What it writes into.

    Yields:
        Its URL.
    """
    from milvus import MilvusServer, MilvusServerConfig

    config = MilvusServerConfig(data_dir=str(folder))
    names = [name for name in config.configurable_items if name.endswith("_port")]
    peers, webservice, *ports = free_ports(2 + len(names))
    config.update(**dict(zip(names, ports, strict=True)))
    for name, value in HASTE.items():
        config.set(name, value)
    etcd = folder / "etcd.yaml"
    etcd.write_text(
        ETCD.format(clients=f"http://localhost:{config.configs['etcd_port']}", peers=f"http://localhost:{peers}")
    )
    config.template_text = config.template_text.replace("\netcd:\n", f"\netcd:\n  config:\n    path: {etcd}\n", 1)
    server = MilvusServer(config)
    server.webservice_port = webservice
    try:
        server.start()
        yield f"http://127.0.0.1:{server.listen_port}"
    finally:
        server.stop()


ETCD = """\
name: default
listen-client-urls: {clients}
advertise-client-urls: {clients}
listen-peer-urls: {peers}
initial-advertise-peer-urls: {peers}
initial-cluster: default={peers}
"""


def free_ports(count: int) -> list[int]:
    """Ports that are free on every address. The wheel looks at 127.0.0.1 alone, and finds those of another server."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("", 0))
        return [each.getsockname()[1] for each in sockets]
