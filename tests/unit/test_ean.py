"""Product codes: what is read as what, and what is refused with which words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.ean import looks_like_ean, normalise
from app.core.errors import EanInvalid

DIGITS = "0123456789"


def check_digit(digits: str) -> str:
    """Apart from the code under test: by weights from a table, as the GS1 specification prints them."""
    weights = (3, 1) * 9
    return str((10 - sum(int(d) * w for d, w in zip(digits[::-1], weights, strict=False)) % 10) % 10)


@st.composite
def gtins(draw: st.DrawFn) -> str:
    length = draw(st.sampled_from([8, 12, 13, 14]))
    body = draw(st.text(DIGITS, min_size=length - 1, max_size=length - 1).filter(lambda text: text.strip("0")))
    return body + check_digit(body)


@pytest.mark.parametrize(
    "code, kept",
    [
        ("3017620422003", "3017620422003"),  # EAN-13: Nutella
        ("5449000000996", "5449000000996"),  # EAN-13: Coca-Cola
        ("4006381333931", "4006381333931"),  # EAN-13: Stabilo
        ("036000291452", "0036000291452"),  # UPC-A: the example of the GS1 and of most textbooks
        ("012345678905", "0012345678905"),  # UPC-A
        ("96385074", "96385074"),  # EAN-8: the example of most textbooks
        ("73513537", "73513537"),  # EAN-8
        ("40170725", "40170725"),  # EAN-8
        ("10614141000415", "10614141000415"),  # GTIN-14 of a case: GS1's example
        ("00012345600012", "0012345600012"),  # GTIN-14 of a single item
        ("0000096385074", "96385074"),  # EAN-8, padded to 13
        ("000096385074", "96385074"),  # to 12
        ("00000096385074", "96385074"),  # to 14
    ],
)
def test_a_known_code_is_kept_as_open_food_facts_keeps_it(code: str, kept: str) -> None:
    assert normalise(code) == kept


@pytest.mark.parametrize(
    "upc_e, upc_a",
    [
        ("04252614", "042100005264"),
        ("01234505", "012000003455"),
        ("01234514", "012100003454"),
        ("01234523", "012200003453"),
        ("01234531", "012300000451"),
        ("01234543", "012340000053"),
        ("01234558", "012345000058"),
        ("01234565", "012345000065"),
        ("01234572", "012345000072"),
        ("01234589", "012345000089"),
        ("01234596", "012345000096"),
    ],
)
def test_a_upc_e_is_expanded_to_the_upc_a_it_stands_for(upc_e: str, upc_a: str) -> None:
    assert upc_a[-1] == check_digit(upc_a[:-1])
    assert normalise(upc_e) == normalise(upc_a) == f"0{upc_a}"


@pytest.mark.parametrize(
    "code, kept",
    [
        ("425261", "0042100005264"),  # six digits: without the 0 and the check digit
        ("123456", "0012345000065"),
        ("4252614", "0042100005264"),  # seven: without the 0
        ("2345673", "0023456000073"),
        ("0123456", "0012345000065"),  # seven: without the check digit
        ("1123404", "0112340000005"),
    ],
)
def test_a_upc_e_may_lack_its_first_and_last_digit(code: str, kept: str) -> None:
    assert normalise(code) == kept


def test_seven_digits_that_fit_two_products_are_refused() -> None:
    # 0 425261 is 04252614, and 042526 with the check digit 1 is 00425261.
    with pytest.raises(EanInvalid, match=r"two different products\. Give all 8 digits"):
        normalise("0425261")


@pytest.mark.parametrize(
    "code, kept",
    [
        ("01234565", "0012345000065"),  # valid as both; an EAN-8 with a 0 in front is a shop's own
        ("01234514", "0012100003454"),  # valid as UPC-E only
        ("00000017", "00000017"),  # valid as EAN-8 only
        ("12345670", "12345670"),  # begins with 1, and is a good EAN-8
        ("11234045", "0112340000005"),  # begins with 1, and its check digit fits a UPC-E only
        ("21234045", None),  # begins with 2: no UPC-E begins so
    ],
)
def test_eight_digits_are_read_as_ean_8_or_upc_e_by_a_fixed_rule(code: str, kept: str | None) -> None:
    if kept is None:
        with pytest.raises(EanInvalid):
            normalise(code)
    else:
        assert normalise(code) == kept


@pytest.mark.parametrize("code", ["3 017620 422003", "3-017620-422003", " 3017620422003 ", "3-0-1-7 620422003"])
def test_single_spaces_and_hyphens_between_digits_are_taken(code: str) -> None:
    assert normalise(code) == "3017620422003"


@pytest.mark.parametrize(
    "code, words",
    [
        ("", "empty"),
        ("   ", "empty"),
        ("12345", "this one has 5"),
        ("123456789", "this one has 9"),
        ("1234567890", "this one has 10"),
        ("12345678901", "this one has 11"),
        ("123456789012345", "this one has 15"),
        ("9" * 10_000, "this one has 10000"),
        ("3017620422004", "it is 4 and should be 3"),
        ("036000291453", "it is 3 and should be 2"),
        ("96385075", "it is 5 and should be 4"),
        ("10614141000416", "it is 6 and should be 5"),
        ("04252615", "it is 5 and should be 0 or 4"),
        ("4252615", "it is 5 and should be 4"),
        ("0000000000000", "all zeros"),
        ("00000000", "all zeros"),
        ("000000", "all zeros"),
        ("123405", "123405 is no UPC-E"),
        ("9999054", "9999054 is no UPC-E"),
        ("301762042200X", "'X' in it"),
        ("3017620422OO3", "'O' in it"),
        ("+3017620422003", "'\\+' in it"),
        ("3017620422003.0", "'.' in it"),
        ("3.017620422003e12", "'.' in it"),
        ("３０１７６２０４２２００３", "'３' in it"),  # noqa: RUF001 # full-width
        ("٣٠١٧٦٢٠٤٢٢٠٠٣", "in it"),
        ("301762042200³", "in it"),
        ("3017620422003\n", r"U\+000A in it"),
        ("3017620\u00a0422003", r"U\+00A0 in it"),
        ("3017620\u200b422003", r"U\+200B in it"),
        ("3017620\x00422003", r"U\+0000 in it"),
        ("3017620422003/../../x", "'/' in it"),
        ("3017620  422003", "one at a time"),
        ("3017620--422003", "one at a time"),
        ("-3017620422003", "one at a time"),
        ("3017620422003-", "one at a time"),
        ("-", "one at a time"),
    ],
)
def test_what_is_wrong_with_a_code_is_named(code: str, words: str) -> None:
    with pytest.raises(EanInvalid, match=words) as refusal:
        normalise(code)
    assert refusal.value.code == "ean_invalid"
    assert len(refusal.value.detail) < 150


@given(gtins())
def test_a_kept_code_is_kept_as_it_is(code: str) -> None:
    kept = normalise(code)
    assert len(kept) in (8, 13, 14)
    assert normalise(kept) == kept


@given(gtins())
def test_zeros_in_front_say_nothing(code: str) -> None:
    assert normalise(code.zfill(13)) == normalise(code.zfill(14))
    if len(code) > 8 or code[0] != "0":  # eight digits that begin with 0 may be a UPC-E
        assert normalise(code) == normalise(code.zfill(13))


@given(st.integers(0, 10**8 - 1).map(lambda n: f"{n:08}"))
def test_eight_digits_that_are_taken_are_kept_as_they_are_once_kept(code: str) -> None:
    try:
        kept = normalise(code)
    except EanInvalid:
        return
    assert normalise(kept) == kept
    assert kept[-1] == check_digit(kept[:-1])


@given(gtins().filter(lambda code: len(code.lstrip("0")) > 8), st.data())
def test_one_digit_mistyped_is_always_noticed(code: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(len(code) - len(code.lstrip("0")) + 1, len(code) - 1))
    wrong = data.draw(st.sampled_from([digit for digit in DIGITS if digit != code[place]]))
    with pytest.raises(EanInvalid):
        normalise(code[:place] + wrong + code[place + 1 :])


@given(st.text())
def test_any_text_is_kept_or_refused(text: str) -> None:
    try:
        kept = normalise(text)
    except EanInvalid:
        return
    assert looks_like_ean(kept)


@pytest.mark.parametrize("text", ["96385074", "036000291452", "3017620422003", "10614141000415", "123456789"])
def test_eight_to_fourteen_digits_look_like_a_code(text: str) -> None:
    assert looks_like_ean(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1234567",
        "123456789012345",
        "3017620-422003",
        "3017620422003\n",
        "３０１７６２０４２２００３",  # noqa: RUF001 # full-width
        "0199abcd12345",
    ],
)
def test_anything_else_does_not(text: str) -> None:
    assert not looks_like_ean(text)


def test_only_eight_digits_that_were_typed_are_read_as_a_short_code():
    assert normalise("000000100007") == "00100007"
    assert normalise("00100007") == "0001000000007"
