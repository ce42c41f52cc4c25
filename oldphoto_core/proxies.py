"""Proxies of the environment, which are for other machines: loopback is reached without one."""

from __future__ import annotations

import importlib.util
import os

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_EXCEPTIONS = ("NO_PROXY", "no_proxy")
_PROXIES = tuple(name for kind in ("HTTP", "HTTPS", "ALL") for name in (f"{kind}_PROXY", f"{kind}_PROXY".lower()))


def bypass_loopback() -> None:
    """Name loopback in NO_PROXY of this process and its children, beside what is there.

    A SOCKS proxy is dropped from the environment: no client here can use one, and Prefect's ends on seeing it.
    """
    set_here = {name: os.environ[name] for name in _PROXIES if os.environ.get(name)}
    if not set_here:
        return
    if importlib.util.find_spec("socksio") is None:
        for name, proxy in set_here.items():
            if proxy.lower().startswith("socks"):
                del os.environ[name]
    # clients differ in which of the two spellings they read
    listed = ",".join(os.environ.get(name, "") for name in _EXCEPTIONS).split(",")
    # nor do they agree on brackets around an IPv6 address, on which httpx ends
    hosts = dict.fromkeys(filter(None, (host.strip().strip("[]") for host in (*listed, *_LOOPBACK))))
    for name in _EXCEPTIONS:
        os.environ[name] = ",".join(hosts)
