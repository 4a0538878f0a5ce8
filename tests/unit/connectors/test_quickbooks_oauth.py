"""Signing in, and keeping the sign-in: nothing that Intuit answered is ever lost."""

from __future__ import annotations

import multiprocessing
import re
import socket
import threading
from dataclasses import replace
from html import unescape
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests

from tests.quickbooks_bench import NAME, FileStore, bench
from tieout.connectors.http import Transport
from tieout.connectors.quickbooks.oauth import App, TokenManager, Tokens, app_of, authorize, store_tokens
from tieout.errors import AuthError, ConfigError, RefusedError, RetriableError, SignInRequired


@pytest.fixture
def qb(tmp_path):
    with bench(tmp_path, seed="empty", rotate_refresh="every_call", refresh_old_token="invalid") as held:
        held.sign_in(expired=True)
        yield held


def manager(qb, store=None, app=None, company=None):
    app = app or App(qb.live.client_id, qb.live.client_secret, qb.settings["token_url"])
    return TokenManager(
        NAME,
        company_id=company or qb.live.realm,
        app=lambda: app,
        store=store or qb.store,
        transport=Transport(connect_seconds=5, read_seconds=20),
        clock=qb.time,
    )


def kept(store, name="tokens"):
    return Tokens.from_text(store.read(NAME, name).current)


def asked(qb):
    return sum("oauth2" in c.path for c in qb.live.faults.log)


def opens(qb, access):
    url = f"{qb.live.base_url}/v3/company/{qb.live.realm}/companyinfo/{qb.live.realm}"
    return requests.get(url, headers={"Authorization": f"Bearer {access}"}, timeout=5).status_code == 200


def test_a_token_is_used_while_fresh_and_renewed_before_it_ends(qb):
    tokens = manager(qb)
    first = tokens.access()
    assert opens(qb, first)
    assert tokens.access() == first
    assert asked(qb) == 1
    qb.time.sleep(44 * 60)
    assert tokens.access() == first
    qb.time.sleep(2 * 60)
    assert tokens.access() != first
    assert asked(qb) == 2
    assert (kept(qb.store).serial, kept(qb.store, "tokens.rescue").serial) == (4, 4)


def test_a_renewed_sign_in_is_rescued_before_it_is_kept(qb):
    qb.store.writes.clear()
    manager(qb).access()
    assert qb.store.writes == ["tokens.rescue", "tokens"]


class Crash(BaseException):
    pass


@pytest.mark.parametrize("nth", [1, 2])
def test_a_crash_between_answer_and_store(qb, nth):
    """nth: the write before which the process dies. Once the answer is rescued, nothing is lost."""

    class Dies(FileStore):
        left = nth

        def write(self, connection, name, value):
            self.left -= 1
            if not self.left:
                raise Crash
            return super().write(connection, name, value)

    old = kept(qb.store)
    with pytest.raises(Crash):
        manager(qb, Dies(qb.store.folder)).access()
    again = manager(qb)
    if nth == 2:
        assert opens(qb, again.access())
        assert asked(qb) == 1  # the rescued answer is used, Intuit is not asked again
        assert kept(qb.store).serial == old.serial + 1
    else:
        qb.live.authority._grants[0].former[old.refresh] = qb.time()  # as Intuit may: the old value still works
        qb.live.authority.switches = replace(qb.live.authority.switches, refresh_old_token="valid_24h")
        assert opens(qb, again.access())


def test_a_lost_answer_is_asked_for_again_with_the_value_we_have(tmp_path):
    with bench(tmp_path, seed="empty", rotate_refresh="every_call") as qb:  # the old value works for a while
        qb.sign_in(expired=True)
        qb.live.faults.arm("drop", when="after", path="oauth2")
        with pytest.raises(RetriableError):
            manager(qb).access()
        assert opens(qb, manager(qb).access())


def test_a_value_that_no_longer_works_falls_back_to_the_one_before(qb):
    good = kept(qb.store)
    store_tokens(NAME, replace(good, refresh="bad"), qb.store)
    assert opens(qb, manager(qb).access())
    assert kept(qb.store).refresh != good.refresh


def test_when_no_value_works_a_person_must_sign_in_and_nothing_is_deleted(qb):
    qb.live.authority.revoke_all()
    before = {p.name: p.read_text() for p in qb.store.folder.glob("*.json")}
    with pytest.raises(SignInRequired, match="tieout connect qbo"):
        manager(qb).access()
    assert {name: (qb.store.folder / name).read_text() for name in before} == before


def test_a_dead_sign_in_is_tried_once_a_day_and_a_new_one_at_once(qb):
    qb.live.authority.revoke_all()
    told = []
    for hours in (0, 1, 22, 2, 1):  # the fourth is more than a day after the first
        qb.time.sleep(hours * 3600)
        with pytest.raises(SignInRequired) as caught:
            manager(qb).access()
        told.append((caught.value.told, asked(qb)))
    tried = told[0][1]
    assert told == [(False, tried), (True, tried), (True, tried), (False, 2 * tried), (True, 2 * tried)]
    assert "since 2026-02-02 09:00 UTC" in caught.value.message
    again = qb.live.authority.connect()
    store_tokens(NAME, replace(kept(qb.store), refresh=again), qb.store)
    assert opens(qb, manager(qb).access())


def test_the_end_of_a_sign_in_is_warned_of_once_in_each_band(tmp_path, caplog):
    with bench(tmp_path, seed="empty", rotate_refresh="never") as qb:
        qb.sign_in(expired=True)
        said = []
        for _ in range(100):
            caplog.clear()
            manager(qb).access()
            days = (kept(qb.store).refresh_until - qb.time()).total_seconds() / 86400
            said += [(round(days), r.getMessage()) for r in caplog.records]
            qb.time.sleep(86400 / 2)
            manager(qb).access()
            qb.time.sleep(86400 / 2)
    assert [days for days, _ in said] == [14, 7, 2]
    for (days, text), band in zip(said, (14, 7, 2), strict=True):
        assert days <= band
        assert f"within {band} days" in text
        assert "2026-05-13" in text
        assert "tieout connect qbo" in text


@pytest.mark.parametrize(
    ("idle", "hard", "days"), [(8726400, None, 101), (8640000, 86400 * 10, 10), (None, None, 100), (-1, "x", 100)]
)
def test_a_sign_in_ends_at_the_earlier_of_its_limits(qb, idle, hard, days):
    from tieout.connectors.quickbooks.oauth import _tokens

    answer = {"access_token": "a", "refresh_token": "r"}
    answer |= {"x_refresh_token_expires_in": idle, "x_refresh_token_hard_expires_in": hard}
    found = _tokens(answer, "1", 1, qb.time())
    assert (found.refresh_until - qb.time()).days == days


def test_a_note_that_cannot_be_kept_stops_nobody(qb, caplog):
    qb.live.authority.revoke_all()

    class Full(FileStore):
        def write(self, connection, name, value):
            raise RetriableError("no space left on the device")

    for _ in range(2):
        with pytest.raises(SignInRequired) as caught:
            manager(qb, Full(qb.store.folder)).access()
        assert not caught.value.told
    assert "no space left" in caplog.text


def test_a_full_disk_asks_for_nothing_and_goes_on_with_what_works(qb):
    qb.store.full = True
    with pytest.raises(RetriableError, match="no space"):
        manager(qb).access()
    assert asked(qb) == 0
    qb.store.full = False
    qb.sign_in()
    qb.time.sleep(50 * 60)
    qb.store.full = True
    assert opens(qb, manager(qb).access())
    assert asked(qb) == 0


def test_a_disk_that_fills_after_the_answer_keeps_it_in_memory(qb):
    class Fills(FileStore):
        probes = 0

        def probe(self):
            self.probes += 1
            self.full = self.probes == 2  # room when asked, none when the answer is there
            super().probe()

    tokens = manager(qb, Fills(qb.store.folder))
    with pytest.raises(RetriableError):
        tokens.access()
    assert opens(qb, tokens.access())
    assert asked(qb) == 1
    assert opens(qb, manager(qb).access())


def test_intuit_down_for_a_while(qb):
    qb.live.faults.arm("answer", form="html", path="oauth2")
    tokens = manager(qb)
    with pytest.raises(RetriableError, match="503"):
        tokens.access()
    assert opens(qb, tokens.access())


def test_a_wrong_client_secret_is_told_as_that(qb):
    app = App(qb.live.client_id, "wrong", qb.settings["token_url"])
    with pytest.raises(AuthError, match="invalid_client") as caught:
        manager(qb, app=app).access()
    assert "wrong" not in repr(app)
    assert "client_secret" in caught.value.hint


def test_a_sign_in_to_another_company_is_refused(qb):
    with pytest.raises(AuthError, match="not to 123"):
        manager(qb, company="123").access()
    assert asked(qb) == 0


def test_nobody_signed_in(qb, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SignInRequired, match="not signed in"):
        manager(qb, FileStore(tmp_path / "empty")).access()


def test_threads_ask_once(qb):
    tokens, found = manager(qb), []
    threads = [threading.Thread(target=lambda: found.append(tokens.access())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert asked(qb) == 1


def _other_process(folder, settings, secret, realm, now, out):
    from pathlib import Path

    from tests.quickbooks_bench import Time

    app = App(settings["client_id"], secret, settings["token_url"])
    tokens = TokenManager(
        NAME, company_id=realm, app=lambda: app, store=FileStore(Path(folder)), transport=Transport(), clock=Time(now)
    )
    out.put(tokens.access())


def test_two_processes_ask_once(qb):
    spawn = multiprocessing.get_context("spawn")
    out = spawn.Queue()
    given = (str(qb.store.folder), qb.settings, qb.live.client_secret, qb.live.realm, qb.time(), out)
    workers = [spawn.Process(target=_other_process, args=given) for _ in range(2)]
    for worker in workers:
        worker.start()
    found = [out.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(30)
    assert len(set(found)) == 1
    assert asked(qb) == 1
    assert opens(qb, found[0])


def test_tokens_do_not_show(qb):
    tokens = kept(qb.store)
    for text in (repr(tokens), repr(manager(qb)), repr(app_of(qb.settings, qb.secrets, Transport(), sign_in=False))):
        assert tokens.access not in text
        assert tokens.refresh not in text
        assert qb.live.client_secret not in text
    assert Tokens.from_text(tokens.as_text()) == tokens


def test_every_missing_secret_is_listed():
    with pytest.raises(ConfigError, match=r"client_id[\s\S]*client_secret"):
        app_of({}, {}, Transport(), sign_in=False)
    with pytest.raises(ConfigError, match="https"):
        app_of(
            {"token_url": "http://intuit.example/"},
            {"client_id": "a", "client_secret": "b"},
            Transport(),
            sign_in=False,
        )


# ---- the redirect


def press(url, decision="allow", **changes):
    """A browser: open the consent page, press a button, follow the redirect."""
    page = requests.get(url, timeout=5)
    assert page.status_code == 200, page.text
    form = {unescape(n): unescape(v) for n, v in re.findall(r'name="(\w+)" value="([^"]*)"', page.text)}
    target = urlsplit(url)
    answer = requests.post(
        f"{target.scheme}://{target.netloc}{target.path}",
        data={**form, "decision": decision},
        allow_redirects=False,
        timeout=5,
    )
    back = urlsplit(answer.headers["Location"])
    query = {k: v[0] for k, v in parse_qs(back.query).items()} | changes
    return requests.get(f"http://{back.netloc}{back.path}?{urlencode(query)}", timeout=5)


def signing_in(qb, browser, **more):
    """(tokens or the error, pages) of one `authorize` with this browser."""
    pages = []

    def open_browser(url):
        threading.Thread(target=lambda: pages.append(browser(url)), daemon=True).start()

    settings = {
        **qb.settings,
        "discovery_url": f"{qb.live.base_url}/.well-known/openid_sandbox_configuration",
        "redirect_uri": "http://127.0.0.1:0/callback",
    } | more.pop("settings", {})
    said = []
    given = {"settings": settings, "secrets_": qb.secrets, "store": qb.store, "say": said.append, "clock": qb.time}
    return authorize(NAME, **{**given, "open_browser": open_browser, "seconds": 5, **more}), said


def test_signing_in_end_to_end(qb):
    qb.live.authority.revoke_all()
    tokens, said = signing_in(qb, press)
    assert tokens.realm == qb.live.realm
    assert opens(qb, tokens.access)
    assert "/connect/oauth2?" in said[0]
    state = parse_qs(urlsplit(said[0].split()[-1]).query)["state"][0]
    assert len(state) >= 43
    connector = qb.open()
    assert connector.company().id == qb.live.realm
    assert kept(qb.store).access == tokens.access
    connector.close()


def test_an_answer_with_another_state_is_not_taken(qb):
    seen = []

    def browser(url):
        seen.append(press(url, state="guessed").status_code)
        seen.append(press(url).status_code)

    signing_in(qb, browser)
    assert seen[0] == 400


def test_a_person_who_says_no(qb):
    before = kept(qb.store)
    with pytest.raises(RefusedError, match="access_denied"):
        signing_in(qb, lambda url: press(url, "deny"))
    assert kept(qb.store) == before


def test_another_company_than_the_configured_one(qb):
    before = kept(qb.store)
    with pytest.raises(AuthError, match="company 42"):
        signing_in(qb, lambda url: press(url, realmId="42"))
    assert kept(qb.store) == before


def test_a_code_that_is_refused(qb):
    with pytest.raises(AuthError, match="invalid_grant"):
        signing_in(qb, lambda url: press(url, code="code-that-was-used"))


def test_nobody_comes_back(qb):
    with pytest.raises(RefusedError, match="nobody"):
        signing_in(qb, lambda _: None, seconds=0.1)


def test_only_the_redirect_address_answers_and_it_tells_nothing(qb):
    pages = []

    def browser(url):
        redirect = parse_qs(urlsplit(url).query)["redirect_uri"][0]
        pages.append(requests.get(redirect.replace("/callback", "/elsewhere"), timeout=5))
        with socket.create_connection(("127.0.0.1", urlsplit(redirect).port), timeout=5) as line:
            line.sendall(b"GET http://[/ HTTP/1.0\r\n\r\n")
            pages.append(line.makefile("rb").read())
        pages.append(press(url))

    signing_in(qb, browser)
    assert pages[0].status_code == 404
    assert b" 404 " in pages[1].partition(b"\r\n")[0]


def test_a_redirect_elsewhere_is_refused(qb):
    with pytest.raises(ConfigError, match="not on this machine"):
        signing_in(qb, press, settings={"redirect_uri": "https://app.example/callback"})
