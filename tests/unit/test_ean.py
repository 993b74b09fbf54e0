"""Tests of product codes: how each kind is normalized, and which codes are refused with which message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.ean import looks_like_ean, normalize
from app.domain.errors import EanInvalid

DIGITS = "0123456789"


def check_digit(digits: str) -> str:
    """Compute the check digit from a table of weights, as in the GS1 specification, independently of the app."""
    weights = (3, 1) * 9
    return str((10 - sum(int(d) * w for d, w in zip(digits[::-1], weights, strict=False)) % 10) % 10)


@st.composite
def gtins(draw: st.DrawFn) -> str:
    length = draw(st.sampled_from([8, 12, 13, 14]))
    body = draw(st.text(DIGITS, min_size=length - 1, max_size=length - 1).filter(lambda text: text.strip("0")))
    return body + check_digit(body)


@pytest.mark.parametrize(
    "code, normalized",
    [
        ("3017620422003", "3017620422003"),  # EAN-13: Nutella
        ("5449000000996", "5449000000996"),  # EAN-13: Coca-Cola
        ("4006381333931", "4006381333931"),  # EAN-13: Stabilo
        ("036000291452", "0036000291452"),  # UPC-A: the example of GS1 and of most textbooks
        ("012345678905", "0012345678905"),  # UPC-A
        ("96385074", "96385074"),  # EAN-8: the example of most textbooks
        ("73513537", "73513537"),  # EAN-8
        ("40170725", "40170725"),  # EAN-8
        ("10614141000415", "10614141000415"),  # GTIN-14 of a case: the example of GS1
        ("00012345600012", "0012345600012"),  # GTIN-14 of a single item
        ("0000096385074", "96385074"),  # EAN-8, padded to 13 digits
        ("000096385074", "96385074"),  # EAN-8, padded to 12 digits
        ("00000096385074", "96385074"),  # EAN-8, padded to 14 digits
    ],
)
def test_a_code_is_normalized_as_open_food_facts_does(code: str, normalized: str) -> None:
    assert normalize(code) == normalized


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
def test_a_upc_e_is_expanded_to_its_upc_a(upc_e: str, upc_a: str) -> None:
    assert upc_a[-1] == check_digit(upc_a[:-1])
    assert normalize(upc_e) == normalize(upc_a) == f"0{upc_a}"


@pytest.mark.parametrize(
    "code, normalized",
    [
        ("425261", "0042100005264"),  # six digits: without the leading 0 and the check digit
        ("123456", "0012345000065"),
        ("4252614", "0042100005264"),  # seven digits: without the leading 0
        ("2345673", "0023456000073"),
        ("0123456", "0012345000065"),  # seven digits: without the check digit
        ("1123404", "0112340000005"),
    ],
)
def test_a_upc_e_may_lack_its_first_and_last_digit(code: str, normalized: str) -> None:
    assert normalize(code) == normalized


def test_seven_digits_with_two_meanings_are_refused() -> None:
    # With a check digit added it is 04252614. With its last digit as the check digit it is 00425261.
    with pytest.raises(EanInvalid, match=r"two different products\. Enter all 8 digits"):
        normalize("0425261")


@pytest.mark.parametrize(
    "code, normalized",
    [
        ("01234565", "0012345000065"),  # Valid as both. An EAN-8 that begins with 0 is an internal number of a shop.
        ("01234514", "0012100003454"),  # Valid only as UPC-E.
        ("00000017", "00000017"),  # Valid only as EAN-8.
        ("12345670", "12345670"),  # Begins with 1 and is a valid EAN-8.
        ("11234045", "0112340000005"),  # Begins with 1 and is valid only as UPC-E.
        ("21234045", None),  # Begins with 2, as no UPC-E does.
    ],
)
def test_eight_digits_are_interpreted_as_ean_8_or_upc_e(code: str, normalized: str | None) -> None:
    if normalized is None:
        with pytest.raises(EanInvalid):
            normalize(code)
    else:
        assert normalize(code) == normalized


@pytest.mark.parametrize("code", ["3 017620 422003", "3-017620-422003", " 3017620422003 ", "3-0-1-7 620422003"])
def test_single_spaces_and_hyphens_between_digits_are_ignored(code: str) -> None:
    assert normalize(code) == "3017620422003"


@pytest.mark.parametrize(
    "code, message",
    [
        ("", "empty"),
        ("   ", "empty"),
        ("12345", "This one has 5"),
        ("123456789", "This one has 9"),
        ("1234567890", "This one has 10"),
        ("12345678901", "This one has 11"),
        ("123456789012345", "This one has 15"),
        ("9" * 10_000, "This one has 10000"),
        ("3017620422004", "is 4, but should be 3"),
        ("036000291453", "is 3, but should be 2"),
        ("96385075", "is 5, but should be 4"),
        ("10614141000416", "is 6, but should be 5"),
        ("04252615", "is 5, but should be 0 or 4"),
        ("4252615", "is 5, but should be 4"),
        ("0000000000000", "zeros only"),
        ("00000000", "zeros only"),
        ("000000", "zeros only"),
        ("123405", "123405 is not a UPC-E"),
        ("9999054", "9999054 is not a UPC-E"),
        ("301762042200X", "contains 'X'"),
        ("3017620422OO3", "contains 'O'"),
        ("+3017620422003", "contains '\\+'"),
        ("3017620422003.0", "contains '.'"),
        ("3.017620422003e12", "contains '.'"),
        ("３０１７６２０４２２００３", "contains '３'"),  # noqa: RUF001 # full-width
        ("٣٠١٧٦٢٠٤٢٢٠٠٣", "contains"),
        ("301762042200³", "contains"),
        ("3017620422003\n", r"contains U\+000A"),
        ("3017620\u00a0422003", r"contains U\+00A0"),
        ("3017620\u200b422003", r"contains U\+200B"),
        ("3017620\x00422003", r"contains U\+0000"),
        ("3017620422003/../../x", "contains '/'"),
        ("3017620  422003", "single spaces or hyphens"),
        ("3017620--422003", "single spaces or hyphens"),
        ("-3017620422003", "single spaces or hyphens"),
        ("3017620422003-", "single spaces or hyphens"),
        ("-", "single spaces or hyphens"),
    ],
)
def test_the_error_says_what_is_wrong_with_the_code(code: str, message: str) -> None:
    with pytest.raises(EanInvalid, match=message) as raised:
        normalize(code)
    assert raised.value.code == "ean_invalid"
    assert len(raised.value.detail) < 150


@given(gtins())
def test_a_normalized_code_is_not_changed(code: str) -> None:
    normalized = normalize(code)
    assert len(normalized) in (8, 13, 14)
    assert normalize(normalized) == normalized


@given(gtins())
def test_leading_zeros_do_not_matter(code: str) -> None:
    assert normalize(code.zfill(13)) == normalize(code.zfill(14))
    if len(code) > 8 or code[0] != "0":  # Eight digits that begin with 0 may be a UPC-E.
        assert normalize(code) == normalize(code.zfill(13))


@given(st.integers(0, 10**8 - 1).map(lambda n: f"{n:08}"))
def test_normalized_eight_digits_are_not_changed_and_have_a_valid_check_digit(code: str) -> None:
    try:
        normalized = normalize(code)
    except EanInvalid:
        return
    assert normalize(normalized) == normalized
    assert normalized[-1] == check_digit(normalized[:-1])


@given(gtins().filter(lambda code: len(code.lstrip("0")) > 8), st.data())
def test_one_mistyped_digit_is_always_detected(code: str, data: st.DataObject) -> None:
    position = data.draw(st.integers(len(code) - len(code.lstrip("0")) + 1, len(code) - 1))
    wrong = data.draw(st.sampled_from([digit for digit in DIGITS if digit != code[position]]))
    with pytest.raises(EanInvalid):
        normalize(code[:position] + wrong + code[position + 1 :])


@given(st.text())
def test_any_text_is_normalized_or_refused(text: str) -> None:
    try:
        normalized = normalize(text)
    except EanInvalid:
        return
    assert looks_like_ean(normalized)


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
def test_other_texts_do_not_look_like_a_code(text: str) -> None:
    assert not looks_like_ean(text)


def test_only_codes_of_eight_digits_are_interpreted_as_upc_e():
    assert normalize("000000100007") == "00100007"
    assert normalize("00100007") == "0001000000007"
