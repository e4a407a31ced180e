/* Renders rows of Arrow columns as canonical rows (format version 1), digests them, and sums the digests by group.
 *
 * datafingerprint/canonical.py defines the form of a row. Tests, and a check when the library is loaded, compare this
 * code with it. Rows are rendered one by one. MD5 (RFC 1321) is computed for eight rows at a time, each in a lane of
 * its own: within one message every step of MD5 waits for the step before, so one message leaves most of a core idle.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define INTERFACE 3 /* version of all functions of the library; library.py has the same number */
#define LANES 8
#define LONG_ROW (1 << 20) /* A longer row is digested alone, so that memory never holds eight of them. */

enum kind { INT32, INT64, DECIMAL, FLOAT32, FLOAT64, DATE, MOMENT, TEXT, PLAIN_TEXT, BINARY };

/* One column of a batch. `offsets` is NULL unless values vary in length. */
struct column {
    int32_t kind;
    int32_t scale;         /* digits after the point of a DECIMAL */
    int32_t long_offsets;  /* whether offsets have 64 bits */
    int32_t prefix_length;
    int64_t offset;        /* of the batch's first row in the buffers */
    const uint8_t *prefix; /* the field's name and `=` */
    const uint8_t *valid;  /* bitmap; NULL if no value is null */
    const void *data;
    const void *offsets;
};

struct buffer {
    uint8_t *data;
    size_t capacity;
};

static const char PAIRS[] =
    "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849505152535455"
    "5657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";
static const char HEX[] = "0123456789abcdef";

/* --- rendering ------------------------------------------------------------------------------------------------ */

static uint8_t *put_unsigned(uint8_t *to, uint64_t value) {
    uint8_t digits[20];
    int at = 20;
    while (value >= 100) {
        uint64_t rest = value / 100;
        memcpy(digits + (at -= 2), PAIRS + 2 * (value - rest * 100), 2);
        value = rest;
    }
    if (value >= 10) {
        memcpy(digits + (at -= 2), PAIRS + 2 * value, 2);
    } else {
        digits[--at] = (uint8_t)('0' + value);
    }
    memcpy(to, digits + at, (size_t)(20 - at));
    return to + (20 - at);
}

static uint8_t *put_signed(uint8_t *to, int64_t value) {
    if (value < 0) {
        *to++ = '-';
        return put_unsigned(to, 0 - (uint64_t)value);
    }
    return put_unsigned(to, (uint64_t)value);
}

static uint8_t *put_pair(uint8_t *to, unsigned value) {
    memcpy(to, PAIRS + 2 * value, 2);
    return to + 2;
}

static uint8_t *put_decimal(uint8_t *to, const uint8_t *from, int scale) {
    unsigned __int128 value;
    uint8_t digits[40];
    int at = 40, whole;
    memcpy(&value, from, 16);
    if ((__int128)value < 0) {
        *to++ = '-';
        value = 0 - value;
    }
    while (value) {
        uint64_t low = (uint64_t)(value % 10000000000000000000u);
        int end = at - 19;
        value /= 10000000000000000000u;
        /* A lower part has all its nineteen digits. The highest part has no leading zeros. */
        while (low || (value && at > end)) {
            digits[--at] = (uint8_t)('0' + low % 10);
            low /= 10;
        }
    }
    while (40 - at <= scale) digits[--at] = '0';
    whole = 40 - at - scale;
    memcpy(to, digits + at, (size_t)whole);
    to += whole;
    if (scale) {
        *to++ = '.';
        memcpy(to, digits + at + whole, (size_t)scale);
        to += scale;
    }
    return to;
}

/* Days since 1970-01-01 as a date of the proleptic Gregorian calendar (days counted from 0000-03-01, in eras of 400
 * years, so that the leap day is a year's last). */
static uint8_t *put_date(uint8_t *to, int64_t days) {
    int64_t shifted = days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    unsigned day_of_era = (unsigned)(shifted - era * 146097);
    unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month_index = (5 * day_of_year + 2) / 153;
    unsigned day = day_of_year - (153 * month_index + 2) / 5 + 1;
    unsigned month = month_index < 10 ? month_index + 3 : month_index - 9;
    int64_t year = (int64_t)year_of_era + era * 400 + (month <= 2);
    if (year >= 0 && year <= 9999) {
        to = put_pair(to, (unsigned)year / 100);
        to = put_pair(to, (unsigned)year % 100);
    } else {
        to = put_signed(to, year); /* MySQL has no such date, so this is a difference in any case */
    }
    *to++ = '-';
    to = put_pair(to, month);
    *to++ = '-';
    return put_pair(to, day);
}

static uint8_t *put_moment(uint8_t *to, int64_t us) {
    int64_t days = us / 86400000000, rest = us % 86400000000;
    unsigned seconds, fraction;
    if (rest < 0) {
        rest += 86400000000;
        days -= 1;
    }
    seconds = (unsigned)(rest / 1000000);
    fraction = (unsigned)(rest % 1000000);
    to = put_date(to, days);
    *to++ = ' ';
    to = put_pair(to, seconds / 3600);
    *to++ = ':';
    to = put_pair(to, seconds / 60 % 60);
    *to++ = ':';
    to = put_pair(to, seconds % 60);
    *to++ = '.';
    to = put_pair(to, fraction / 10000);
    to = put_pair(to, fraction / 100 % 100);
    return put_pair(to, fraction % 100);
}

static uint8_t *put_double(uint8_t *to, double value) {
    int64_t bits;
    value += 0.0; /* -0.0 becomes 0.0 */
    memcpy(&bits, &value, 8);
    return put_signed(to, bits);
}

static uint8_t *put_hex(uint8_t *to, const uint8_t *from, size_t length) {
    for (size_t i = 0; i < length; i++) {
        *to++ = (uint8_t)HEX[from[i] >> 4];
        *to++ = (uint8_t)HEX[from[i] & 15];
    }
    return to;
}

static int is_null(const struct column *c, int64_t at) {
    return c->valid && !(c->valid[at >> 3] >> (at & 7) & 1);
}

static void extent(const struct column *c, int64_t at, int64_t *start, int64_t *end) {
    if (c->long_offsets) {
        *start = ((const int64_t *)c->offsets)[at];
        *end = ((const int64_t *)c->offsets)[at + 1];
    } else {
        *start = ((const int32_t *)c->offsets)[at];
        *end = ((const int32_t *)c->offsets)[at + 1];
    }
}

/* The maximum bytes of a row, including separators and MD5's padding. */
static size_t row_bytes_max(const struct column *columns, int n, int64_t row) {
    size_t bytes_max = 128;
    for (int i = 0; i < n; i++) {
        const struct column *c = columns + i;
        bytes_max += (size_t)c->prefix_length + 48;
        if (c->offsets && !is_null(c, c->offset + row)) {
            int64_t start, end;
            extent(c, c->offset + row, &start, &end);
            bytes_max += 2 * (size_t)(end - start);
        }
    }
    return bytes_max;
}

static uint8_t *put_value(uint8_t *to, const struct column *c, int64_t at) {
    int64_t start, end;
    switch (c->kind) {
    case INT32: return put_signed(to, ((const int32_t *)c->data)[at]);
    case INT64: return put_signed(to, ((const int64_t *)c->data)[at]);
    case DECIMAL: return put_decimal(to, (const uint8_t *)c->data + 16 * at, c->scale);
    case FLOAT32: return put_double(to, (double)((const float *)c->data)[at]);
    case FLOAT64: return put_double(to, ((const double *)c->data)[at]);
    case DATE: return put_date(to, ((const int32_t *)c->data)[at]);
    case MOMENT: return put_moment(to, ((const int64_t *)c->data)[at]);
    default: break;
    }
    extent(c, at, &start, &end);
    if (c->kind == BINARY) return put_hex(to, (const uint8_t *)c->data + start, (size_t)(end - start));
    if (c->kind == TEXT) {
        to = put_unsigned(to, (uint64_t)(end - start));
        *to++ = ':';
    }
    if (end > start) memcpy(to, (const uint8_t *)c->data + start, (size_t)(end - start));
    return to + (end - start);
}

static size_t put_row(uint8_t *to, const struct column *columns, int n, int64_t row) {
    uint8_t *at = to;
    for (int i = 0; i < n; i++) {
        const struct column *c = columns + i;
        if (is_null(c, c->offset + row)) continue;
        if (at != to) *at++ = '|';
        memcpy(at, c->prefix, (size_t)c->prefix_length);
        at = put_value(at + c->prefix_length, c, c->offset + row);
    }
    return (size_t)(at - to);
}

/* Appends MD5's padding. Returns the number of blocks of 64 bytes. */
static size_t pad(uint8_t *message, size_t length) {
    size_t blocks = (length + 8) / 64 + 1;
    uint64_t bits = (uint64_t)length * 8;
    message[length] = 0x80;
    memset(message + length + 1, 0, blocks * 64 - 8 - length - 1);
    memcpy(message + blocks * 64 - 8, &bits, 8);
    return blocks;
}

/* --- MD5, eight messages at a time ---------------------------------------------------------------------------- */

typedef uint32_t lanes __attribute__((vector_size(4 * LANES)));

struct state {
    uint32_t word[4][LANES];
};

static const uint32_t START[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};

#define F(b, c, d) ((d) ^ ((b) & ((c) ^ (d))))
#define G(b, c, d) ((c) ^ ((d) & ((b) ^ (c))))
#define H(b, c, d) ((b) ^ (c) ^ (d))
#define I(b, c, d) ((c) ^ ((b) | ~(d)))
#define STEP(f, a, b, c, d, w, t, s) \
    a += f(b, c, d) + (w) + (uint32_t)(t); \
    a = (a << (s) | a >> (32 - (s))) + b;
#define FOUR(f, i0, i1, i2, i3, t0, t1, t2, t3, s0, s1, s2, s3) \
    STEP(f, a, b, c, d, w[i0], t0, s0) \
    STEP(f, d, a, b, c, w[i1], t1, s1) \
    STEP(f, c, d, a, b, w[i2], t2, s2) \
    STEP(f, b, c, d, a, w[i3], t3, s3)

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
__attribute__((target_clones("arch=skylake-avx512", "avx2", "default"))) /* chosen when the library is loaded */
#endif
static void digest_block(struct state *state, const uint8_t *const *block) {
    lanes w[16], a, b, c, d, a0, b0, c0, d0;
    uint32_t words[16][LANES];
    for (int lane = 0; lane < LANES; lane++) {
        uint32_t lane_words[16];
        memcpy(lane_words, block[lane], 64);
        for (int i = 0; i < 16; i++) words[i][lane] = lane_words[i];
    }
    memcpy(w, words, sizeof w);
    memcpy(&a, state->word[0], sizeof a);
    memcpy(&b, state->word[1], sizeof b);
    memcpy(&c, state->word[2], sizeof c);
    memcpy(&d, state->word[3], sizeof d);
    a0 = a, b0 = b, c0 = c, d0 = d;
    FOUR(F, 0, 1, 2, 3, 0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 7, 12, 17, 22)
    FOUR(F, 4, 5, 6, 7, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501, 7, 12, 17, 22)
    FOUR(F, 8, 9, 10, 11, 0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 7, 12, 17, 22)
    FOUR(F, 12, 13, 14, 15, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821, 7, 12, 17, 22)
    FOUR(G, 1, 6, 11, 0, 0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 5, 9, 14, 20)
    FOUR(G, 5, 10, 15, 4, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8, 5, 9, 14, 20)
    FOUR(G, 9, 14, 3, 8, 0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 5, 9, 14, 20)
    FOUR(G, 13, 2, 7, 12, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a, 5, 9, 14, 20)
    FOUR(H, 5, 8, 11, 14, 0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 4, 11, 16, 23)
    FOUR(H, 1, 4, 7, 10, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70, 4, 11, 16, 23)
    FOUR(H, 13, 0, 3, 6, 0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 4, 11, 16, 23)
    FOUR(H, 9, 12, 15, 2, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665, 4, 11, 16, 23)
    FOUR(I, 0, 7, 14, 5, 0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 6, 10, 15, 21)
    FOUR(I, 12, 3, 10, 1, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1, 6, 10, 15, 21)
    FOUR(I, 8, 15, 6, 13, 0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 6, 10, 15, 21)
    FOUR(I, 4, 11, 2, 9, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391, 6, 10, 15, 21)
    a += a0, b += b0, c += c0, d += d0;
    memcpy(state->word[0], &a, sizeof a);
    memcpy(state->word[1], &b, sizeof b);
    memcpy(state->word[2], &c, sizeof c);
    memcpy(state->word[3], &d, sizeof d);
}

/* --- rows through the lanes ----------------------------------------------------------------------------------- */

/* Where digests go: hexadecimal digits by row, or sums by group. */
struct result {
    uint8_t *hex;          /* 32 digits per row, or NULL */
    const int32_t *groups; /* the group of each row; NULL if all are in group 0 */
    int64_t *rows;         /* by group, as `hi` and `lo` */
    uint64_t *hi, *lo;
    uint64_t *digests; /* besides sums, both halves of every row's digest, or NULL */
};

static void keep(const struct result *result, const struct state *state, int lane, int64_t row) {
    uint8_t digest[16];
    for (int i = 0; i < 4; i++) memcpy(digest + 4 * i, &state->word[i][lane], 4);
    if (result->hex) {
        put_hex(result->hex + 32 * row, digest, 16);
    } else {
        int32_t group = result->groups ? result->groups[row] : 0;
        uint64_t hi, lo;
        memcpy(&hi, digest, 8);
        memcpy(&lo, digest + 8, 8);
        hi = __builtin_bswap64(hi);
        lo = __builtin_bswap64(lo);
        result->rows[group] += 1;
        result->hi[group] += hi;
        result->lo[group] += lo;
        if (result->digests) {
            result->digests[2 * row] = hi;
            result->digests[2 * row + 1] = lo;
        }
    }
}

/* Makes a buffer at least `size` bytes long. Its content may be lost. Returns 0 if there is too little memory. */
static int reserve(struct buffer *buffer, size_t size) {
    if (buffer->capacity < size) {
        free(buffer->data);
        buffer->capacity = size + size / 2;
        buffer->data = malloc(buffer->capacity);
        if (!buffer->data) buffer->capacity = 0;
    }
    return buffer->data != NULL;
}

struct lane {
    struct buffer buffer;
    const uint8_t *next;
    size_t blocks; /* blocks left; 0 if the lane is free */
    int64_t row;
};

static void begin(struct state *state, int lane) {
    for (int i = 0; i < 4; i++) state->word[i][lane] = START[i];
}

/* Digests one row alone, in a state of its own. All lanes compute the same, and lane 0 has the result. */
static int digest_long_row(const struct column *columns, int n, int64_t row, size_t bytes_max,
                           const struct result *result) {
    struct state state;
    const uint8_t *block[LANES];
    uint8_t *message = malloc(bytes_max);
    size_t blocks;
    if (!message) return 0;
    blocks = pad(message, put_row(message, columns, n, row));
    begin(&state, 0);
    for (size_t i = 0; i < blocks; i++) {
        for (int lane = 0; lane < LANES; lane++) block[lane] = message + 64 * i;
        if (!i) for (int lane = 1; lane < LANES; lane++) begin(&state, lane);
        digest_block(&state, block);
    }
    keep(result, &state, 0, row);
    free(message);
    return 1;
}

/* Fills a free lane with the next row, if there is one. Returns 0 if there is too little memory. */
static int fill(struct lane *lane, struct state *state, int number, const struct column *columns, int n, int64_t *row,
                int64_t end, const struct result *result) {
    while (*row < end) {
        size_t bytes_max = row_bytes_max(columns, n, *row);
        if (bytes_max > LONG_ROW) {
            if (!digest_long_row(columns, n, (*row)++, bytes_max, result)) return 0;
            continue;
        }
        if (!reserve(&lane->buffer, bytes_max)) return 0;
        lane->row = (*row)++;
        lane->blocks = pad(lane->buffer.data, put_row(lane->buffer.data, columns, n, lane->row));
        lane->next = lane->buffer.data;
        begin(state, number);
        return 1;
    }
    return 1;
}

static int digest_rows(const struct column *columns, int n, int64_t row, int64_t end, const struct result *result) {
    static const uint8_t idle[64];
    struct lane lane[LANES] = {0};
    struct state state = {0};
    const uint8_t *block[LANES];
    int is_done = 0;
    for (;;) {
        int busy = 0;
        for (int i = 0; i < LANES; i++) {
            if (!lane[i].blocks && !fill(lane + i, &state, i, columns, n, &row, end, result)) goto over;
            block[i] = lane[i].blocks ? lane[i].next : idle;
            busy |= lane[i].blocks != 0;
        }
        if (!busy) break;
        digest_block(&state, block);
        for (int i = 0; i < LANES; i++) {
            if (!lane[i].blocks) continue;
            lane[i].next += 64;
            if (!--lane[i].blocks) keep(result, &state, i, lane[i].row);
        }
    }
    is_done = 1;
over:
    for (int i = 0; i < LANES; i++) free(lane[i].buffer.data);
    return is_done;
}

/* --- what Python calls; each returns 1, or 0 if there is too little memory --------------------------------------- */

int32_t dfp_interface(void) { return INTERFACE; }

/* Writes 32 hexadecimal digits for every row of [row, end) to `hex`, which has 32 bytes for each row of the batch. */
int32_t dfp_identities(const struct column *columns, int32_t n, int64_t row, int64_t end, uint8_t *hex) {
    struct result result = {hex, NULL, NULL, NULL, NULL, NULL};
    return digest_rows(columns, n, row, end, &result);
}

/* Adds the rows of [row, end) to the sums of their groups; writes their digests to their places, unless that is NULL. */
int32_t dfp_sums(const struct column *columns, int32_t n, int64_t row, int64_t end, const int32_t *groups,
                 int64_t *rows, uint64_t *hi, uint64_t *lo, uint64_t *digests) {
    struct result result = {NULL, groups, rows, hi, lo, digests};
    return digest_rows(columns, n, row, end, &result);
}
