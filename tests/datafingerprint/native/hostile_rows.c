/* Gives damaged packets to the functions of rows.c, in buffers that end where the data does. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../../datafingerprint/native/rows.c"

static uint64_t state = 1;

static uint32_t drawn(uint32_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % below;
}

static const char *const TEXTS[] = {
    "-123", "9", "12345678901234567890", "-1.50", "99999999999999999999999999999999999999.9", ".", "-", "",
    "2031-04-01", "0000-00-00", "2031-13-41", "2031-04-01 19:05:59.25", "9999-12-31 23:59:59.999999", "-838:59:59.1",
    "08:01:02", "1:2:3", "---------------------", "::::::::::::::::::::"};
enum { KINDS = sizeof TEXTS / sizeof *TEXTS, COLUMNS = 3, ROWS = 6, BYTES_MAX = ROWS * (4 + COLUMNS * 64) };

static int64_t make(uint8_t *to) {
    int64_t at = 0;
    for (int row = 0; row < ROWS; row++) {
        int64_t head = at;
        at += 4;
        for (int i = 0; i < COLUMNS; i++) {
            const char *text = TEXTS[drawn(KINDS)];
            size_t size = strlen(text);
            if (!drawn(8)) {
                to[at++] = 251;
                continue;
            }
            to[at++] = (uint8_t)size;
            memcpy(to + at, text, size);
            at += (int64_t)size;
        }
        to[head] = (uint8_t)(at - head - 4);
        to[head + 1] = to[head + 2] = 0;
        to[head + 3] = (uint8_t)row;
    }
    return at;
}

static void decode(const struct cells *cells) {
    size_t count = (size_t)cells->count;
    uint8_t *valid = malloc((count + 7) / 8), *wide = malloc(count * 16);
    int32_t *offsets = malloc((count + 1) * sizeof *offsets);
    int64_t size = dfp_row_offsets(cells, offsets);
    uint8_t *texts = malloc((size_t)size);
    memset(valid, 0xFF, (count + 7) / 8);
    dfp_row_nulls(cells, valid);
    dfp_row_texts(cells, texts);
    dfp_row_integers(cells, 4, wide);
    dfp_row_integers(cells, 8, wide);
    for (int32_t precision = 0; precision < 40; precision += 13) dfp_row_decimals(cells, precision, precision / 2, wide);
    dfp_row_dates(cells, (int32_t *)wide, valid);
    dfp_row_moments(cells, (int64_t *)wide, valid);
    dfp_row_times(cells, (int64_t *)wide);
    free(texts), free(offsets), free(wide), free(valid);
}

int main(void) {
    for (int turn = 0; turn < 100000; turn++) {
        uint8_t made[BYTES_MAX];
        int64_t length = make(made), from = 0, wanted, count;
        for (uint32_t i = drawn(4); i > 0; i--) made[drawn((uint32_t)length)] = (uint8_t)drawn(256);
        length = drawn(3) ? length : (int64_t)drawn((uint32_t)length + 1);
        int32_t columns = 1 + (int32_t)drawn(COLUMNS + 1);
        uint8_t *data = malloc((size_t)length);
        struct cell *found = malloc(ROWS * (size_t)columns * sizeof *found);
        memcpy(data, made, (size_t)length);
        count = dfp_row_packets(data, length / 2, &from, 0, columns, 0, ROWS, found, &wanted);
        count = dfp_row_packets(data, length, &from, 0, columns, count, ROWS, found, &wanted);
        if (from > length || count > ROWS) abort();
        for (int32_t i = 0; i < columns; i++) decode(&(struct cells){data, found + i, columns, count});
        free(found), free(data);
    }
    return 0;
}
