"""The transport: what it refuses to do, whatever the remote says."""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import threading
import urllib.parse

import pytest

from tieout.connectors.http import Lost, Pace, Transport, checked_url
from tieout.connectors.pinned import Unsent
from tieout.connectors.redact import masked, redact, secret
from tieout.errors import ConfigError


@contextlib.contextmanager
def serving(answer):
    """A server that lets `answer(handler)` speak."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            seen.append(self.path)
            answer(self)

        do_POST = do_GET

        def log_message(self, *_):
            pass

    seen: list[str] = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def say(handler, status, body=b"", **headers):
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def get(transport, url):
    return transport.send("GET", url, headers={})


def test_a_redirect_is_an_answer_and_not_followed():
    with serving(lambda h: say(h, 302, Location="/elsewhere")) as (url, seen):
        assert get(Transport(), f"{url}/a").status == 302
        assert seen == ["/a"]


def test_a_request_says_what_it_was_given_and_nothing_of_the_one_before():
    asked = [
        ("POST", {"Authorization": "Basic eDp5eno="}, {}, b"first"),
        ("POST", {"Authorization": "Basic eDp5eno="}, {}, b"the second"),
        ("POST", {"Authorization": "Bearer 7c1d-token"}, {}, b"the second"),
        ("POST", {}, {"n": "1"}, b""),
        ("GET", {}, {"n": "1"}, None),
        ("GET", {"n": "1"}, {}, None),
    ]
    heard = []

    def answer(handler):
        told = handler.headers
        body = handler.rfile.read(int(told.get("Content-Length", 0)))
        heard.append((handler.command, told.get("Authorization"), handler.path, body, told.get("Cookie")))
        say(handler, 200, **({"Set_Cookie": f"session={len(heard)}"} if len(heard) in (1, 4) else {}))

    with serving(answer) as (url, _), contextlib.closing(Transport()) as transport:
        for method, headers, params, body in asked:
            transport.send(method, f"{url}/a", headers=headers, params=params, body=body)
    cookies = [None, *["session=1"] * 3, *["session=4"] * 2]
    assert heard == [
        (method, headers.get("Authorization"), f"/a?n={params['n']}" if params else "/a", body or b"", cookie)
        for (method, headers, params, body), cookie in zip(asked, cookies, strict=True)
    ]


def test_an_answer_may_not_be_larger_than_the_limit():
    with serving(lambda h: say(h, 200, b"x" * 5000)) as (url, _), pytest.raises(Lost, match="larger"):
        get(Transport(most_bytes=1000), url)


def test_a_small_answer_that_unpacks_to_a_large_one_is_refused():
    import gzip

    packed = gzip.compress(b"0" * 10_000_000)
    with (
        serving(lambda h: say(h, 200, packed, Content_Encoding="gzip")) as (url, _),
        pytest.raises(Lost, match="larger"),
    ):
        get(Transport(most_bytes=100_000), url)


def test_an_answer_cut_short_is_lost():
    def cut(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b"half")
        handler.close_connection = True

    with serving(cut) as (url, _), pytest.raises(Lost):
        get(Transport(), url)


def test_a_dripping_answer_does_not_hold_us_for_ever():
    def drip(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(200):
                handler.wfile.write(b"x" * 5000)

    ticks = iter(range(0, 100_000, 100))
    with serving(drip) as (url, _), pytest.raises(Lost, match="took more"):
        get(Transport(total_seconds=150, clock=lambda: float(next(ticks))), url)


def test_silence_is_lost_and_nobody_there_is_unsent():
    done = threading.Event()
    with serving(lambda _: done.wait(5)) as (url, _):
        with pytest.raises(Lost):
            get(Transport(read_seconds=0.1), url)
        done.set()
    with pytest.raises(Unsent):
        get(Transport(connect_seconds=1), url)


@pytest.mark.parametrize(
    "url",
    [
        "http://quickbooks.example/",
        "ftp://127.0.0.1/",
        "https://user:pass@intuit.example/",
        "https://169.254.169.254/latest",
        "https://[fe80::1]/",
        "/v3/company",
        "http://127.0.0.1.example.com/",
        "http://[::ffff:10.0.0.1]/",
    ],
)
def test_addresses_that_are_not_spoken_to(url):
    with pytest.raises(ConfigError):
        checked_url(url, "api_base")
    with pytest.raises(ConfigError):
        get(Transport(), url)


@pytest.mark.parametrize("url", ["https://quickbooks.api.intuit.com", "http://127.0.0.1:8765", "http://localhost:1"])
def test_addresses_that_are(url):
    assert checked_url(url + "/", "api_base") == url


def test_the_environment_changes_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login eve password hunter2")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    heard = []
    with serving(lambda h: (heard.append(h.headers.get("Authorization")), say(h, 200))) as (url, _):
        Transport().send("GET", url, headers={"Authorization": "Bearer mine"})
    assert heard == ["Bearer mine"]


def begun(n, **limits):
    """When each of n requests begins, on a clock that only sleeping moves."""
    now = [0.0]
    pace = Pace(clock=lambda: now[0], sleep=lambda s: now.__setitem__(0, now[0] + s), **limits)
    times = []
    for _ in range(n):
        with pace.slot():
            times.append(now[0])
    return times


def test_the_pace_is_kept():
    times = begun(1200)
    for at in times:
        assert sum(at <= t < at + 1 for t in times) <= 10
        assert sum(at <= t < at + 60 for t in times) <= 500
    assert times[9] == 0.0
    assert times[-1] < 160


def test_a_lower_pace_is_kept():
    times = begun(25, per_minute=12)
    assert all(sum(at <= t < at + 60 for t in times) <= 12 for at in times)


def test_no_more_than_so_many_at_once():
    pace = Pace(per_minute=6000, per_second=6000, at_once=3)
    under_way, most, lock = [0], [0], threading.Lock()
    barrier = threading.Event()

    def work():
        with pace.slot():
            with lock:
                under_way[0] += 1
                most[0] = max(most[0], under_way[0])
            barrier.wait(0.02)
            with lock:
                under_way[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert most[0] == 3


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer eyJabc.def-ghi",
        '{"access_token": "eyJabc.def-ghi"}',
        "grant_type=refresh_token&refresh_token=eyJabc.def-ghi",
        "?code=eyJabc.def-ghi&state=x",
        "Basic eyJabc.def-ghi==",
    ],
)
def test_secrets_are_cut_out_of_remote_text(text):
    assert "eyJabc" not in redact(text)


def test_a_secret_that_was_sent_is_cut_out_however_it_is_repeated():
    token, password = "eyJnobody.knows-this", "pä&ss word"
    basic = base64.b64encode(f"me:{password}".encode()).decode()
    form = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
    with serving(lambda h: say(h, 200)) as (url, _):
        Transport().send("GET", url, headers={"Authorization": f"Bearer {token}"})
        Transport().send("GET", url, headers=form, body=b"grant_type=refresh_token&refresh_token=AB11nobody-knows")
    for said in (
        f"Unauthorized: {token} is over", f"x-auth {basic}", f"{password} is wrong", urllib.parse.quote(password),
        urllib.parse.quote_plus(password), repr(password.encode()), json.dumps(password), "AB11nobody-knows is no grant",
    ):  # fmt: skip
        told = redact(said)
        assert "…" in told
        assert not any(part in told for part in ("knows", "ss%20", "ss+w", "ss word", basic)), told
    assert redact("grant_type is missing") == "grant_type is missing"


def test_a_secret_within_another_or_across_it_uncovers_nothing_of_it():
    for one in ("Zq7inner", "aa+Zq7inner/bb", "inner/bb::tail", "xyxyx"):
        secret(one)
    assert masked("<aa+Zq7inner/bb> Zq7inner <Zq7inner/bb::tail>") == "<…> … <…>"
    assert masked(f"form {urllib.parse.quote('aa+Zq7inner/bb', safe='')}&x") == "form …&x"
    assert masked("xyxyxyx") == "…"


def test_remote_text_cannot_forge_log_lines():
    assert redact("a\nb\r\tc\x1b[31m\u2028d") == "a b  c [31m d"
    assert len(redact("x" * 1000)) <= 301
    assert "errorCode=003001" in redact("message=ThrottleExceeded; errorCode=003001")
