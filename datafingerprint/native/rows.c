/* Finds the rows of a result set in its packets, and decodes their cells, which the server writes as texts.
 *
 * Every function stops before the first thing that is not ordinary. The caller continues there in Python, which knows
 * all cases and raises an error if one is due. So nothing is rejected here, and nothing is skipped. No function reads
 * past the end that its caller names. The layout is that of the MySQL client protocol ("Text Resultset Row").
 */
#include <stdint.h>
#include <string.h>

enum { PACKET_HEADER = 4, PACKET_MAX = 0xFFFFFF, NULL_CELL = 251, END = 254 };

/* A text in the data. The size of NULL is -1. */
struct cell {
    uint32_t at;
    int32_t size;
};

/* One column of found rows: its first cell, how many cells a row has, and how many rows there are. */
struct cells {
    const uint8_t *data;
    const struct cell *first;
    int64_t stride, count;
};

static uint32_t little(const uint8_t *from, int width) {
    uint32_t value = 0;
    memcpy(&value, from, (size_t)width);
    return value;
}

/* --- packets -------------------------------------------------------------------------------------------------- */

/* Finds the cells of one row between `at` and `end`. Returns 0 unless they fill that range exactly. */
static int take_row(const uint8_t *data, int64_t at, int64_t end, int32_t columns, struct cell *cells) {
    if (at == end || data[at] >= END) return 0; /* an error, or the end of the result set */
    for (int32_t i = 0; i < columns; i++) {
        int64_t size;
        int width;
        if (at == end || data[at] >= END) return 0;
        size = data[at++];
        if (size == NULL_CELL) {
            cells[i].at = 0;
            cells[i].size = -1;
            continue;
        }
        if (size > NULL_CELL) {
            width = (int)size - NULL_CELL + 1;
            if (width > end - at) return 0;
            size = little(data + at, width);
            at += width;
        }
        if (size > end - at) return 0;
        cells[i].at = (uint32_t)at;
        cells[i].size = (int32_t)size;
        at += size;
    }
    return at == end;
}

/* Finds the rows from `*from`, where `count` rows were found before, up to `count_max` rows.
 *
 * A packet of the maximum length is not ordinary, because another packet continues it. Packets have consecutive
 * numbers of 8 bits; `sequence` is that of the first row. Moves `*from` to the end of the last row found. Writes to
 * `*wanted` how many bytes the next packet has from there as far as is known, or 0 if it is not ordinary. `length` is
 * less than 2^31. Returns the number of all rows.
 */
int64_t dfp_row_packets(const uint8_t *data, int64_t length, int64_t *from, int32_t sequence, int32_t columns,
                        int64_t count, int64_t count_max, struct cell *cells, int64_t *wanted) {
    int64_t at = *from;
    *wanted = PACKET_HEADER;
    for (; count < count_max && length - at >= PACKET_HEADER; count++) {
        int64_t size = little(data + at, 3);
        *wanted = 0;
        if (size == PACKET_MAX || data[at + 3] != (uint8_t)(sequence + count)) break;
        if (size > length - at - PACKET_HEADER) {
            *wanted = PACKET_HEADER + size;
            break;
        }
        if (!take_row(data, at + PACKET_HEADER, at + PACKET_HEADER + size, columns, cells + count * columns)) break;
        at += PACKET_HEADER + size;
        *wanted = PACKET_HEADER;
    }
    *from = at;
    return count;
}

/* --- columns -------------------------------------------------------------------------------------------------- */

#define EACH(cells, i, cell) \
    const struct cell *cell = (cells)->first; \
    for (int64_t i = 0; i < (cells)->count; i++, cell += (cells)->stride)

static void clear(uint8_t *valid, int64_t i) { valid[i >> 3] &= (uint8_t)~(1 << (i & 7)); }

/* Clears the bits of NULLs in a bitmap of ones. Returns the number of NULLs. */
int64_t dfp_row_nulls(const struct cells *cells, uint8_t *valid) {
    int64_t nulls = 0;
    EACH(cells, i, cell) {
        if (cell->size >= 0) continue;
        clear(valid, i);
        nulls++;
    }
    return nulls;
}

/* Writes the offsets of the values in an Arrow buffer, one more than there are rows. Returns the bytes of all. */
int64_t dfp_row_offsets(const struct cells *cells, int32_t *offsets) {
    int32_t sum = 0;
    EACH(cells, i, cell) {
        offsets[i] = sum;
        if (cell->size > 0) sum += cell->size;
    }
    offsets[cells->count] = sum;
    return sum;
}

/* Copies the values, one after the other. */
void dfp_row_texts(const struct cells *cells, uint8_t *to) {
    EACH(cells, i, cell) {
        if (cell->size <= 0) continue;
        memcpy(to, cells->data + cell->at, (size_t)cell->size);
        to += cell->size;
    }
}

enum { DIGITS_OF_64_BITS = 18, DIGITS_OF_128_BITS = 38 };

/* The number that `size` digits show. Returns 0 if one is no digit; at most 18 are allowed. */
static int number(const uint8_t *from, int64_t size, int64_t *value) {
    int64_t sum = 0;
    if (size < 1 || size > DIGITS_OF_64_BITS) return 0;
    for (; size > 0; size--) {
        unsigned digit = (unsigned)*from++ - '0';
        if (digit > 9) return 0;
        sum = sum * 10 + digit;
    }
    *value = sum;
    return 1;
}

/* Decodes integers of at most 18 digits into `width` bytes, 4 or 8. Returns how many rows it decoded. */
int64_t dfp_row_integers(const struct cells *cells, int32_t width, uint8_t *to) {
    EACH(cells, i, cell) {
        int64_t value = 0;
        if (cell->size >= 0) {
            const uint8_t *from = cells->data + cell->at;
            int is_negative = cell->size > 0 && *from == '-';
            if (!number(from + is_negative, cell->size - is_negative, &value)) return i;
            if (is_negative) value = -value;
            if (width == 4 && value != (int32_t)value) return i;
        }
        memcpy(to + i * width, &value, (size_t)width);
    }
    return cells->count;
}

/* Decodes decimals to integers of 128 bits that count units of 10^-scale. Returns how many rows it decoded. */
int64_t dfp_row_decimals(const struct cells *cells, int32_t precision, int32_t scale, uint8_t *to) {
    if (precision < 1 || precision > DIGITS_OF_128_BITS || scale < 0 || scale > precision) return 0;
    EACH(cells, i, cell) {
        unsigned __int128 sum = 0;
        if (cell->size >= 0) {
            const uint8_t *from = cells->data + cell->at, *end = from + cell->size;
            int is_negative = from < end && *from == '-', digits = 0, any = 0;
            int32_t fraction = -1; /* digits after the point, -1 before it */
            for (from += is_negative; from < end; from++) {
                unsigned digit = (unsigned)*from - '0';
                if (*from == '.' && fraction < 0) {
                    fraction = 0;
                    continue;
                }
                if (digit > 9 || (fraction >= 0 && ++fraction > scale)) return i;
                any = 1;
                digits += digits || digit;
                if (digits > precision) return i;
                sum = sum * 10 + digit;
            }
            if (!any || !fraction) return i;
            for (fraction = fraction < 0 ? 0 : fraction; fraction < scale; fraction++) {
                digits += digits > 0;
                if (digits > precision) return i;
                sum *= 10;
            }
            if (is_negative) sum = -sum;
        }
        memcpy(to + i * 16, &sum, 16);
    }
    return cells->count;
}

/* Days from 1970-01-01 in the Gregorian calendar, from year 1 ("days_from_civil", Hinnant). */
static int64_t days_of(int64_t year, int64_t month, int64_t day) {
    int64_t of_era, of_year, era;
    year -= month <= 2;
    era = year / 400;
    of_era = year - era * 400;
    of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int is_possible(int64_t year, int64_t month, int64_t day) {
    static const int8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int is_leap = !(year % 4) && (year % 100 || !(year % 400));
    return year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= lengths[month - 1] + (is_leap && month == 2);
}

enum { DATE = 10, MOMENT = 19, FRACTION = 6 };

/* The days of a date such as 2031-04-01, and whether the date exists. Returns 0 for another form. */
static int date(const uint8_t *from, int64_t *days, int *exists) {
    int64_t year, month, day;
    if (from[4] != '-' || from[7] != '-') return 0;
    if (!number(from, 4, &year) || !number(from + 5, 2, &month) || !number(from + 8, 2, &day)) return 0;
    *exists = is_possible(year, month, day);
    *days = *exists ? days_of(year, month, day) : 0;
    return 1;
}

/* Microseconds of minutes, seconds and a fraction, such as 05:59.25. Returns 0 for another form. */
static int clock(const uint8_t *from, int64_t size, int64_t *us) {
    int64_t minutes, seconds, fraction = 0;
    if (size < 5 || from[2] != ':' || !number(from, 2, &minutes) || !number(from + 3, 2, &seconds)) return 0;
    if (size > 5) {
        if (from[5] != '.' || size > 6 + FRACTION || !number(from + 6, size - 6, &fraction)) return 0;
        for (; size < 6 + FRACTION; size++) fraction *= 10;
    }
    *us = (minutes * 60 + seconds) * 1000000 + fraction;
    return 1;
}

/* Decodes dates to days. Clears the bits of dates that do not exist. Returns how many rows it decoded. */
int64_t dfp_row_dates(const struct cells *cells, int32_t *to, uint8_t *valid) {
    EACH(cells, i, cell) {
        int64_t days = 0;
        int exists = 1;
        if (cell->size >= 0 && (cell->size != DATE || !date(cells->data + cell->at, &days, &exists))) return i;
        if (!exists) clear(valid, i);
        to[i] = (int32_t)days;
    }
    return cells->count;
}

/* Decodes dates with times to microseconds; see `dfp_row_dates`. */
int64_t dfp_row_moments(const struct cells *cells, int64_t *to, uint8_t *valid) {
    EACH(cells, i, cell) {
        int64_t days = 0, hours = 0, us = 0;
        int exists = 1;
        if (cell->size >= 0) {
            const uint8_t *from = cells->data + cell->at;
            if (cell->size < MOMENT || !date(from, &days, &exists) || from[10] != ' ' || from[13] != ':') return i;
            if (!number(from + 11, 2, &hours) || !clock(from + 14, cell->size - 14, &us)) return i;
        }
        if (!exists) clear(valid, i);
        to[i] = (days * 24 + hours) * 3600000000 + us;
    }
    return cells->count;
}

/* Decodes times such as -838:59:59.000000 to microseconds. Returns how many rows it decoded. */
int64_t dfp_row_times(const struct cells *cells, int64_t *to) {
    EACH(cells, i, cell) {
        int64_t hours = 0, us = 0;
        int is_negative = 0;
        if (cell->size >= 0) {
            const uint8_t *from = cells->data + cell->at;
            int64_t size = cell->size, digits = 2;
            is_negative = size > 0 && *from == '-';
            from += is_negative;
            size -= is_negative;
            if (size > 3 && from[2] != ':') digits = 3;
            if (size <= digits || from[digits] != ':' || !number(from, digits, &hours)) return i;
            if (!clock(from + digits + 1, size - digits - 1, &us)) return i;
            us += hours * 3600000000;
        }
        to[i] = is_negative ? -us : us;
    }
    return cells->count;
}
