"""Tests of password rules and password hashes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace

import pytest
from argon2 import extract_parameters

from app.auth.passwords import PARAMETERS, Passwords
from app.domain.errors import Overloaded, PasswordWeak

CHEAP = replace(PARAMETERS, memory_cost=8, time_cost=1)


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


@pytest.fixture
def passwords(executor: ThreadPoolExecutor) -> Passwords:
    return Passwords(executor, parameters=CHEAP)


@pytest.mark.parametrize(
    "password, reason",
    [
        ("Zq9!xw7", "fewer than 8"),
        ("e\N{COMBINING ACUTE ACCENT}" * 7, "fewer than 8"),
        ("Zq9!" * 32 + "x", "more than 128"),
        ("Password1", "very common"),
        ("\N{FULLWIDTH DIGIT ONE}2345678", "very common"),
        ("a" + "\N{COMBINING ACUTE ACCENT}\N{COMBINING CEDILLA}" * 15_000, "more than 128"),
        ("aaaaaaaa", "easy to guess"),
        ("abcdefgh", "easy to guess"),
        ("12341234", "easy to guess"),
        ("        ", "easy to guess"),
        ("Zq9!\ud800xw7k", "incomplete character"),
        ("Anna.Berg@Example.com", "email address"),
        ("anna.berg", "email address"),
    ],
)
async def test_a_weak_password_is_refused_with_the_reason(passwords: Passwords, password: str, reason: str) -> None:
    with pytest.raises(PasswordWeak, match=reason):
        await passwords.check(password, email="anna.berg@example.com")


@pytest.mark.parametrize("password", ["my-ACME-photos", "x\N{FULLWIDTH LATIN SMALL LETTER A}cme9!kq"])
async def test_a_password_must_not_contain_a_forbidden_word(executor: ThreadPoolExecutor, password: str) -> None:
    passwords = Passwords(executor, parameters=CHEAP, forbidden_words=["Acme"])
    with pytest.raises(PasswordWeak, match="must not contain the word 'acme'"):
        await passwords.check(password, email="anna.berg@example.com")
    await passwords.check("correct horse battery staple", email="anna.berg@example.com")


@pytest.mark.parametrize("password", ["Zq9!xw7k", "correct horse battery staple", "Zq9!" * 32, "пароль-для-фото"])
async def test_a_good_password_is_accepted(passwords: Passwords, password: str) -> None:
    await passwords.check(password, email="anna.berg@example.com")


async def test_only_the_hashed_password_matches_its_hash(passwords: Passwords) -> None:
    password_hash = await passwords.hash("correct horse")
    assert await passwords.verify(password_hash, "correct horse")
    assert not await passwords.verify(password_hash, "correct house")
    assert not await passwords.verify("not a hash", "correct horse")
    assert not await passwords.verify(password_hash, "correct horse" + "\N{COMBINING CEDILLA}" * 60_000)


async def test_the_same_password_in_other_code_points_matches(passwords: Passwords) -> None:
    password_hash = await passwords.hash("caf\N{LATIN SMALL LETTER E WITH ACUTE} com leite")
    assert await passwords.verify(password_hash, "cafe\N{COMBINING ACUTE ACCENT} com leite")


async def test_a_lone_surrogate_is_part_of_the_password(passwords: Passwords) -> None:
    password_hash = await passwords.hash("correct \ud83d horse")
    assert await passwords.verify(password_hash, "correct \ud83d horse")
    assert not await passwords.verify(password_hash, "correct \ud83c horse")


async def test_verification_without_a_hash_costs_as_much_as_with_one(executor: ThreadPoolExecutor) -> None:
    verified: list[str] = []

    class WatchedPasswords(Passwords):
        def _verify(self, password_hash: str, password: str) -> bool:
            verified.append(password_hash)
            return super()._verify(password_hash, password)

    assert not await WatchedPasswords(executor).verify(None, "correct horse")
    assert extract_parameters(verified[0]) == PARAMETERS


async def test_a_hash_with_other_parameters_is_outdated(passwords: Passwords, executor: ThreadPoolExecutor) -> None:
    password_hash = await passwords.hash("correct horse")
    assert not passwords.outdated(password_hash)
    assert Passwords(executor, parameters=replace(CHEAP, time_cost=2)).outdated(password_hash)


def test_requests_over_the_limit_are_refused_until_a_slot_is_free(passwords: Passwords) -> None:
    with ExitStack() as stack:
        for _ in range(64):
            stack.enter_context(passwords.slot())
        with pytest.raises(Overloaded), passwords.slot():
            pass
    with passwords.slot():
        pass
