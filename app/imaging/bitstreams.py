"""Reads the color code points from the headers of HEVC and AV1 bitstreams, for containers that do not repeat them.

The syntax is that of ITU-T H.265 sections 7.3.2.2 and E.2.1, and of the AV1 specification sections 5.3 and 5.5.
"""

from __future__ import annotations

CodePoints = tuple[int, int]
"""Color primaries and transfer characteristics (ITU-T H.273 tables 2 and 3)."""

_HEVC_SPS = 33
_AV1_SEQUENCE_HEADER = 1


class _Bits:
    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._remaining = 8 * len(data)

    def read(self, count: int) -> int:
        """Return the next `count` bits as an integer. Raises IndexError at the end of the data."""
        self._remaining -= count
        if self._remaining < 0:
            raise IndexError("the bitstream header is too short")
        return self._value >> self._remaining & (1 << count) - 1

    def golomb(self) -> int:
        """Return the next unsigned Exp-Golomb code, or a signed one as a code number."""
        zeros = 0
        while not self.read(1):
            zeros += 1
        return (1 << zeros) - 1 + self.read(zeros)

    def skip_golomb(self, count: int) -> None:
        for _ in range(count):
            self.golomb()


def hevc_code_points(configuration: bytes) -> CodePoints | None:
    """Return the code points in an `hvcC` property, or None if it has none.

    Raises IndexError if the property is truncated.
    """
    position = 23
    for _ in range(configuration[22]):
        kind, count = configuration[position] & 63, int.from_bytes(configuration[position + 1 : position + 3], "big")
        position += 3
        for _ in range(count):
            length = int.from_bytes(configuration[position : position + 2], "big")
            unit = configuration[position + 2 : position + 2 + length]
            position += 2 + length
            if kind == _HEVC_SPS:
                return _read_sps(_Bits(unit[2:].replace(b"\0\0\3", b"\0\0")))
    return None


def _read_sps(bits: _Bits) -> CodePoints | None:
    bits.read(4)
    sub_layers = bits.read(3)
    bits.read(1)
    _skip_profile_tier_level(bits, sub_layers)
    bits.golomb()
    if bits.golomb() == 3:  # chroma_format_idc
        bits.read(1)
    bits.skip_golomb(2)
    if bits.read(1):  # conformance_window_flag
        bits.skip_golomb(4)
    bits.skip_golomb(2)
    picture_order_bits = bits.golomb() + 4
    bits.skip_golomb(3 * (sub_layers + 1 if bits.read(1) else 1))
    bits.skip_golomb(6)
    if bits.read(1) and bits.read(1):  # scaling_list_enabled_flag, sps_scaling_list_data_present_flag
        _skip_scaling_lists(bits)
    bits.read(2)
    if bits.read(1):  # pcm_enabled_flag
        bits.read(8)
        bits.skip_golomb(2)
        bits.read(1)
    _skip_reference_picture_sets(bits)
    if bits.read(1):  # long_term_ref_pics_present_flag
        for _ in range(bits.golomb()):
            bits.read(picture_order_bits + 1)
    bits.read(2)
    return _read_usability_information(bits) if bits.read(1) else None


def _skip_profile_tier_level(bits: _Bits, sub_layers: int) -> None:
    bits.read(96)
    present = [(bits.read(1), bits.read(1)) for _ in range(sub_layers)]
    if sub_layers:
        bits.read(2 * (8 - sub_layers))
    for profile, level in present:
        bits.read(88 * profile + 8 * level)


def _skip_scaling_lists(bits: _Bits) -> None:
    for size in range(4):
        for _ in range(2 if size == 3 else 6):
            if not bits.read(1):
                bits.golomb()
            else:
                bits.skip_golomb(min(64, 16 << 2 * size) + (size > 1))


def _skip_reference_picture_sets(bits: _Bits) -> None:
    pictures = 0
    for index in range(bits.golomb()):
        if index and bits.read(1):
            bits.read(1)
            bits.golomb()
            # A picture of the previous set remains in this one if the first or the second flag is set.
            pictures = sum(bits.read(1) or bits.read(1) for _ in range(pictures + 1))
        else:
            pictures = bits.golomb() + bits.golomb()
            for _ in range(pictures):
                bits.golomb()
                bits.read(1)


def _read_usability_information(bits: _Bits) -> CodePoints | None:
    if bits.read(1) and bits.read(8) == 255:  # aspect_ratio_info_present_flag
        bits.read(32)
    if bits.read(1):  # overscan_info_present_flag
        bits.read(1)
    if not bits.read(1):  # video_signal_type_present_flag
        return None
    bits.read(4)
    return (bits.read(8), bits.read(8)) if bits.read(1) else None


def av1_code_points(units: bytes) -> CodePoints | None:
    """Return the code points in the first sequence header of an AV1 bitstream, or None if it has none.

    Raises IndexError if the sequence header is truncated.
    """
    position = 0
    while position < len(units):
        header = units[position]
        position += 2 if header & 4 else 1
        size, position = _read_leb128(units, position) if header & 2 else (len(units) - position, position)
        if header >> 3 & 15 == _AV1_SEQUENCE_HEADER:
            return _read_sequence_header(_Bits(units[position : position + size]))
        position += size
    return None


def _read_leb128(data: bytes, position: int) -> tuple[int, int]:
    """Return the number and the position after it."""
    number = shift = 0
    while data[position] & 0x80:
        number |= (data[position] & 0x7F) << shift
        position, shift = position + 1, shift + 7
    return number | data[position] << shift, position + 1


def _read_sequence_header(bits: _Bits) -> CodePoints | None:
    profile = bits.read(3)
    bits.read(1)
    is_reduced = bits.read(1)
    if is_reduced:
        bits.read(5)
    else:
        _skip_operating_points(bits)
    width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
    bits.read(width_bits + height_bits)
    if not is_reduced and bits.read(1):  # frame_id_numbers_present_flag
        bits.read(7)
    bits.read(3)
    if not is_reduced:
        _skip_inter_tools(bits)
    bits.read(3)
    if bits.read(1) and profile == 2:  # high_bitdepth
        bits.read(1)
    if profile != 1:  # mono_chrome
        bits.read(1)
    return (bits.read(8), bits.read(8)) if bits.read(1) else None


def _skip_operating_points(bits: _Bits) -> None:
    delay_bits = 0
    if bits.read(1):  # timing_info_present_flag
        bits.read(64)
        if bits.read(1):  # equal_picture_interval
            bits.golomb()
        if bits.read(1):  # decoder_model_info_present_flag
            delay_bits = bits.read(5) + 1
            bits.read(42)
    has_display_delay = bits.read(1)
    for _ in range(bits.read(5) + 1):
        bits.read(12)
        if bits.read(5) > 7:
            bits.read(1)
        if delay_bits and bits.read(1):
            bits.read(2 * delay_bits + 1)
        if has_display_delay and bits.read(1):
            bits.read(4)


def _skip_inter_tools(bits: _Bits) -> None:
    bits.read(4)
    has_order_hint = bits.read(1)
    if has_order_hint:
        bits.read(2)
    screen_content_tools = 2 if bits.read(1) else bits.read(1)
    if screen_content_tools and not bits.read(1):
        bits.read(1)
    if has_order_hint:
        bits.read(3)
