"""Where a browser may be sent after a confirmation."""

import pytest

from notifier.core.errors import Invalid
from tests.support.office import Office

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "target",
    [
        "https://app.example.com/cb",
        "https://app.example.com/cb/",
        "https://app.example.com/cb/deeper?x=1&y=%2e%2e#part",
        "https://app.example.com/cb?next=https://evil.example/../x",
        "https://app.example.com/cb/a..b/...",
        "https://plain.example.com",
        "https://plain.example.com/any/where",
        "https://plain.example.com?x=1",
        "https://app.example.com:8443/x",
        "myapp://done",
    ],
)
async def test_allowed(office: Office, target: str) -> None:
    assert (await office.register(redirect_to=target)).redirect_to == target


@pytest.mark.parametrize(
    "target",
    [
        "",
        "/cb",
        "//app.example.com/cb",
        "///app.example.com/cb",
        "https:app.example.com/cb",
        "https:/app.example.com/cb",
        "https:///app.example.com/cb",
        "https://app.example.com",
        "https://app.example.com/",
        "https://app.example.com/cbx",
        "https://app.example.com/CB",
        "https://app.example.com.evil/cb",
        "https://evil.example/https://app.example.com/cb",
        "https://app.example.com@evil.example/cb",
        "https://app@app.example.com/cb",
        "https://app.example.com:443/cb",
        "https://app.example.com:8444/",
        "http://app.example.com/cb",
        "https://APP.example.com/cb",
        "https://app.example.com/cb/../x",
        "https://app.example.com/cb/..",
        "https://app.example.com/cb/./x",
        "https://app.example.com/cb/%2e%2e/x",
        "https://app.example.com/cb/%2E./x",
        "https://app.example.com/cb/..%2fx",
        "https://app.example.com/cb/..%5cx",
        "https://app.example.com/cb/..;a/x",
        "https://app.example.com\\@evil.example/cb",
        "https://app.example.com/cb\\..\\x",
        " https://app.example.com/cb",
        "https://app.example.com/cb x",
        "https://app.example.com/cb\t",
        "https://app.example.com/cb\r\nSet-Cookie: a=b",
        "ht\ntps://app.example.com/cb",
        "https://app.example.com/cb\u202egnp.exe",
        "https://[app.example.com/cb",
        "https://app.example.com\u2100/cb",
        "https://\uff41pp.example.com/cb",
        "javascript:alert(1)//app.example.com/cb",
        "data:text/html,x",
        "myapp://done/",
        "myapp://done?x=1",
        "MYAPP://done",
        "myapp://",
        "otherapp://done",
    ],
)
async def test_refused(office: Office, target: str) -> None:
    with pytest.raises(Invalid) as refused:
        await office.register(redirect_to=target)
    assert [(one.pointer, one.code) for one in refused.value.errors] == [
        ("/redirect_to", "redirect_not_allowed")
    ]
    assert await office.counts() == {}
