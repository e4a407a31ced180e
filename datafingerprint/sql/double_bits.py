"""The bits of a double in SQL without bit access: exact scaling with powers of two."""

from __future__ import annotations

UNIT = 1 << 52
"""The unit of the significand."""

LEAST_NORMAL = "2.2250738585072014e-308"


def bits(quoted: str, *, double: str, exponent: str) -> str:
    """The expression of the bit pattern as a signed 64-bit integer; 0 for both zeros.

    Args:
        quoted: The value; the result is NULL for NULL.
        double: The engine's name of the type.
        exponent: The binary logarithm of `{}`, rounded down. It may be wrong by one next to powers of two.
    """

    def number(text: str) -> str:
        return f"CAST('{text}' AS {double})"

    def whole(text: str) -> str:
        return f"CAST({text} AS BIGINT)"

    size = f"abs({quoted})"
    least = number(LEAST_NORMAL)
    # Engines also compute branches that are not taken. Nothing in them may exceed a BIGINT or a double.
    power = f"least(greatest({exponent.format(f'greatest({size}, {least})')}, -1022), 1023)"
    significand = f"({size} / power({number('2')}, {power}))"
    tiny = f"least({size}, {least}) * power({number('2')}, 537) * power({number('2')}, 537)"

    def pattern(bias: int, scaled: str) -> str:
        fraction = f"least(greatest({scaled} - 1, 0), 1)"
        return f"({whole(power)} + {bias}) * {UNIT} + {whole(f'{fraction} * {UNIT}')}"

    return (
        # `least` and `greatest` ignore NULL.
        f"(CASE WHEN {quoted} IS NULL THEN NULL WHEN {quoted} = 0 THEN 0 "
        f"WHEN {size} < {least} THEN {whole(tiny)} "
        f"WHEN {significand} < 1 THEN {pattern(1022, f'{significand} * 2')} "
        f"WHEN {significand} >= 2 THEN {pattern(1024, f'{significand} / 2')} "
        f"ELSE {pattern(1023, significand)} END"
        f" + CASE WHEN {quoted} < 0 THEN -9223372036854775807 - 1 ELSE 0 END)"
    )
