/* Finds packets, plain transactions, row images and column values in a MySQL or MariaDB binlog.
 *
 * Every function stops before the first thing that is not ordinary. The caller's Python code knows all cases. It
 * continues from there and raises an error if one is due. So nothing is rejected here, and nothing is skipped. Layouts
 * are those of the MySQL Internals manual and of the MariaDB Knowledge Base ("Replication Protocol"). All integers of
 * the log are little-endian. library.py loads this code on little-endian machines only.
 */
#include <stdint.h>
#include <string.h>

enum { PACKET_HEADER = 4, STATUS = 1, HEADER = 19, CHECKSUM = 4, PACKET_MAX = 0xFFFFFF, LENGTH_MAX = 4 };

enum event {
    QUERY = 2,
    FORMAT_DESCRIPTION = 15,
    XID = 16,
    TABLE_MAP = 19,
    WRITE_ROWS_V1 = 23,
    DELETE_ROWS_V1 = 25,
    ROWS_QUERY = 29,
    WRITE_ROWS_V2 = 30,
    DELETE_ROWS_V2 = 32,
    MYSQL_GTID = 33,
    ANNOTATE_ROWS = 160,
    GTID = 162
};

static uint64_t little(const uint8_t *from, int width) {
    uint64_t value = 0;
    memcpy(&value, from, (size_t)width);
    return value;
}

/* --- packets -------------------------------------------------------------------------------------------------- */

static uint32_t crc_table[8][256];

/* Tables of zlib's CRC-32, for eight bytes at a time ("slicing-by-8", Kounavis and Berry, 2005). */
__attribute__((constructor)) static void make_tables(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t value = byte;
        for (int bit = 0; bit < 8; bit++) value = value >> 1 ^ (value & 1 ? 0xEDB88320u : 0);
        crc_table[0][byte] = value;
    }
    for (int table = 1; table < 8; table++)
        for (int byte = 0; byte < 256; byte++) {
            uint32_t before = crc_table[table - 1][byte];
            crc_table[table][byte] = before >> 8 ^ crc_table[0][before & 0xFF];
        }
}

static uint32_t crc32_of(const uint8_t *from, int64_t length) {
    uint32_t crc = ~0u;
    for (; length >= 8; from += 8, length -= 8) {
        uint64_t next = little(from, 8) ^ crc;
        crc = 0;
        for (int i = 0; i < 8; i++) crc ^= crc_table[7 - i][next >> 8 * i & 0xFF];
    }
    while (length-- > 0) crc = crc >> 8 ^ crc_table[0][(crc ^ *from++) & 0xFF];
    return ~crc;
}

/* Finds the ordinary packets at the head of `data`: each is whole, has the status OK, and contains one event.
 *
 * They have consecutive numbers of 8 bits, beginning with `sequence`, and the right checksum. A packet of the maximum
 * length is not ordinary, because another packet continues it. Neither is an event that describes its file, because
 * it determines whether the events after it have checksums.
 *
 * Writes the offsets of each event, without its checksum, to `begins` and `ends`, and the length of all packets to
 * `packets_length`. Returns the number of packets, which is at most `count_max`.
 */
int64_t dfp_packets(const uint8_t *data, int64_t length, int32_t sequence, int32_t have_checksums, int64_t count_max,
                    int64_t *begins, int64_t *ends, int64_t *packets_length) {
    int64_t count = 0, at = 0, checksum = have_checksums ? CHECKSUM : 0;
    for (; count < count_max && length - at >= PACKET_HEADER; count++) {
        int64_t size = (int64_t)little(data + at, 3), begin = at + PACKET_HEADER + STATUS, end;
        if (size == PACKET_MAX || size < STATUS + HEADER + checksum || size > length - at - PACKET_HEADER) break;
        if (data[at + 3] != (uint8_t)(sequence + count) || data[at + PACKET_HEADER]) break;
        if (data[begin + 4] == FORMAT_DESCRIPTION) break;
        end = at + PACKET_HEADER + size - checksum;
        if (checksum && crc32_of(data + begin, end - begin) != little(data + end, CHECKSUM)) break;
        begins[count] = begin;
        ends[count] = end;
        at += PACKET_HEADER + size;
    }
    *packets_length = at;
    return count;
}

/* --- transactions --------------------------------------------------------------------------------------------- */

/* The result of `dfp_transactions`. The caller allocates each array for as many entries as there are events. */
struct run {
    int64_t transactions, events, rows, maps; /* number of each */
    /* For each transaction: its number in the GTID, when it was logged, and the lower 32 bits of its end. */
    uint64_t *number;
    int64_t *timestamp, *end;
    /* For each rows event: its transaction, its table map, its event type, and the offsets of its images. */
    int64_t *transaction, *map, *kind, *image_begin, *image_end;
    /* For each different table map: the number of an event that contains it. */
    int64_t *map_event;
};

struct cursor {
    const uint8_t *data;
    const int64_t *begins, *ends;
    int64_t at, count; /* the next event, and how many events there are */
    uint32_t offset;   /* the lower 32 bits of the end of the event before */
};

/* The next event's type, or -1 if the event is shorter than a header. */
static int kind_of(const struct cursor *cursor) {
    int64_t begin = cursor->begins[cursor->at];
    return cursor->ends[cursor->at] - begin < HEADER ? -1 : cursor->data[begin + 4];
}

/* The body of the next event and its length. NULL if the event does not end after the one before. */
static const uint8_t *body_of(struct cursor *cursor, int64_t *length) {
    const uint8_t *header = cursor->data + cursor->begins[cursor->at];
    uint32_t end = (uint32_t)little(header + 13, 4);
    if (end <= cursor->offset) return NULL;
    cursor->offset = end;
    *length = cursor->ends[cursor->at] - cursor->begins[cursor->at] - HEADER;
    return header + HEADER;
}

/* Takes the beginning of a transaction. Returns 0 if it is not plain.
 *
 * It must be of the same server as the transaction that begins at `first`, and have a number that may follow.
 */
static int take_begin(struct cursor *cursor, const uint8_t **first, uint64_t *number) {
    static const uint8_t begin[] = "BEGIN";
    int64_t length;
    const uint8_t *header = cursor->data + cursor->begins[cursor->at], *body;
    int kind = kind_of(cursor);
    uint64_t next;
    if ((kind != GTID && kind != MYSQL_GTID) || !(body = body_of(cursor, &length))) return 0;
    cursor->at++;
    if (kind == GTID) {
        /* Flags: 1 is a single statement, 64 and 128 belong to XA. */
        if (length < 13 || body[12] & (1 | 64 | 128)) return 0;
        next = little(body, 8);
        if (*first && ((*first)[4] != GTID || memcmp(*first + 5, header + 5, 4) ||
                       memcmp(*first + HEADER + 8, body + 8, 4) || next <= *number))
            return 0;
    } else {
        if (length < 25) return 0;
        next = little(body + 17, 8);
        if (*first && ((*first)[4] != MYSQL_GTID || memcmp(*first + HEADER + 1, body + 1, 16) || next != *number + 1))
            return 0;
        if (cursor->at == cursor->count || kind_of(cursor) != QUERY || !(body = body_of(cursor, &length))) return 0;
        cursor->at++;
        if (length < 13) return 0;
        /* After the fixed fields: session variables, the schema and a zero, and the statement. */
        int64_t text = 13 + (int64_t)little(body + 11, 2) + body[8] + 1;
        if (length - text != sizeof begin - 1 || memcmp(body + text, begin, sizeof begin - 1)) return 0;
    }
    if (!*first) *first = header;
    *number = next;
    return 1;
}

enum { MAPS_MAX = 64 };

struct maps {
    int64_t count;
    struct {
        const uint8_t *body;
        int64_t length, transaction; /* the last transaction that contains it */
    } map[MAPS_MAX];
};

static int64_t map_of(const struct maps *maps, const uint8_t *table_id) {
    for (int64_t i = maps->count; i-- > 0;)
        if (!memcmp(maps->map[i].body, table_id, 6)) return i;
    return -1;
}

/* Takes a table map. Returns 0 if there are too many, or a different one with the same number. */
static int take_map(struct maps *maps, struct run *run, const struct cursor *cursor, const uint8_t *body,
                    int64_t length) {
    int64_t known;
    if (length < 8) return 0;
    known = map_of(maps, body);
    if (known < 0) {
        if (maps->count == MAPS_MAX) return 0;
        known = maps->count++;
        maps->map[known].body = body;
        maps->map[known].length = length;
        run->map_event[known] = cursor->at;
    } else if (maps->map[known].length != length || memcmp(maps->map[known].body, body, (size_t)length)) {
        return 0;
    }
    maps->map[known].transaction = run->transactions;
    return 1;
}

/* Whether all bits of a bitmap are set. */
static int is_full(const uint8_t *bitmap, int64_t bits) {
    for (; bits >= 8; bits -= 8)
        if (*bitmap++ != 0xFF) return 0;
    return !bits || (*bitmap & ((1 << bits) - 1)) == (1 << bits) - 1;
}

/* Takes a rows event. Returns 0 unless its transaction has its table map, and its images have all columns. */
static int take_rows(const struct maps *maps, struct run *run, const struct cursor *cursor, int kind,
                     const uint8_t *body, int64_t length, int64_t row) {
    int64_t at = 8, columns, bitmaps, map;
    int is_v2 = kind >= WRITE_ROWS_V2;
    int is_update = kind == WRITE_ROWS_V1 + 1 || kind == WRITE_ROWS_V2 + 1;
    if (length < at + 2) return 0;
    map = map_of(maps, body);
    if (map < 0 || maps->map[map].transaction != run->transactions) return 0;
    if (is_v2) {
        int64_t extra = (int64_t)little(body + at, 2);
        if (extra < 2) return 0;
        at += extra;
    }
    if (length < at + 3) return 0;
    columns = body[at++];
    if (columns == 252) {
        columns = (int64_t)little(body + at, 2);
        at += 2;
    } else if (columns > 250) {
        return 0;
    }
    bitmaps = (columns + 7) / 8 * (is_update ? 2 : 1);
    if (!columns || length < at + bitmaps) return 0;
    if (!is_full(body + at, columns) || !is_full(body + at + bitmaps - (columns + 7) / 8, columns)) return 0;
    run->transaction[row] = run->transactions;
    run->map[row] = map;
    run->kind[row] = kind;
    run->image_begin[row] = body + at + bitmaps - cursor->data;
    run->image_end[row] = body + length - cursor->data;
    return 1;
}

/* Takes the rest of a transaction. Returns 0 if it is not plain, or does not end within the data. */
static int take_rest(struct cursor *cursor, struct maps *maps, struct run *run, int64_t bytes_max, int64_t *rows) {
    enum { EVENT_OVERHEAD = 9 }; /* what transaction_rows.py adds for each event */
    int64_t bytes = 0;
    for (; cursor->at < cursor->count; cursor->at++) {
        int kind = kind_of(cursor);
        int64_t length;
        const uint8_t *body;
        if (kind == ANNOTATE_ROWS || kind == ROWS_QUERY) continue;
        if (kind < 0 || !(body = body_of(cursor, &length))) return 0;
        if (kind == TABLE_MAP) {
            if (!take_map(maps, run, cursor, body, length)) return 0;
        } else if ((kind >= WRITE_ROWS_V1 && kind <= DELETE_ROWS_V1) ||
                   (kind >= WRITE_ROWS_V2 && kind <= DELETE_ROWS_V2)) {
            if (!take_rows(maps, run, cursor, kind, body, length, *rows)) return 0;
            bytes += EVENT_OVERHEAD + run->image_end[*rows] - run->image_begin[*rows];
            if (bytes > bytes_max) return 0;
            ++*rows;
        } else if (kind == XID) {
            run->timestamp[run->transactions] = (int64_t)little(body - HEADER, 4);
            run->end[run->transactions] = cursor->offset;
            cursor->at++;
            return 1;
        } else {
            return 0;
        }
    }
    return 0;
}

/* Finds the plain transactions that begin with the event `first`, all of one server and in the order of their numbers.
 *
 * A plain transaction is a GTID (and a BEGIN on MySQL), any number of table maps and rows events, and an XID. Every
 * image is full, and the images of one transaction take at most `transaction_bytes_max`.
 *
 * The run ends with the transaction by which all images take `run_bytes`, or after `count_max` transactions. `offset`
 * is the lower 32 bits of the position in the binlog file before the event `first`.
 */
void dfp_transactions(const uint8_t *data, const int64_t *begins, const int64_t *ends, int64_t first, int64_t count,
                      uint32_t offset, int64_t transaction_bytes_max, int64_t run_bytes, int64_t count_max,
                      struct run *run) {
    struct cursor cursor = {data, begins, ends, first, count, offset};
    struct maps maps = {0};
    const uint8_t *head = NULL;
    uint64_t number = 0;
    run->transactions = run->events = run->rows = run->maps = 0;
    while (cursor.at < count && run_bytes > 0 && run->transactions < count_max) {
        int64_t rows = run->rows;
        if (!take_begin(&cursor, &head, &number)) break;
        if (!take_rest(&cursor, &maps, run, transaction_bytes_max, &rows)) break;
        run->number[run->transactions++] = number;
        for (int64_t row = run->rows; row < rows; row++) run_bytes -= run->image_end[row] - run->image_begin[row];
        run->rows = rows;
        run->maps = maps.count;
        run->events = cursor.at - first;
    }
}

/* --- row images ----------------------------------------------------------------------------------------------- */

/* Writes the offset of each image to `begins`, unless that is NULL. Returns the number of images.
 *
 * `widths` has the bytes of each column's value. If a column's entry in `prefixes` is not 0, a length of so many bytes
 * precedes the value, and the width is not used. Returns -1 if the last image does not end where the data does, or if
 * a length has more than four bytes.
 */
int64_t dfp_images(const uint8_t *data, int64_t length, const int32_t *widths, const int32_t *prefixes,
                   int32_t columns, int64_t *begins) {
    int64_t bitmap = (columns + 7) / 8, at = 0, count = 0;
    if (columns < 1) return -1;
    for (int32_t i = 0; i < columns; i++)
        if (prefixes[i] < 0 || prefixes[i] > LENGTH_MAX || widths[i] < 0) return -1;
    for (; at < length; count++) {
        const uint8_t *nulls = data + at;
        if (begins) begins[count] = at;
        if (bitmap > length - at) return -1;
        at += bitmap;
        for (int32_t i = 0; i < columns; i++) {
            if (nulls[i >> 3] >> (i & 7) & 1) continue;
            if (prefixes[i]) {
                if (prefixes[i] > length - at) return -1;
                at += prefixes[i] + (int64_t)little(data + at, prefixes[i]);
            } else {
                at += widths[i];
            }
            if (at > length) return -1;
        }
    }
    return count;
}

/* Finds the values of one column in images that `dfp_images` has checked.
 *
 * `next` has the offset of the column in each image, and is moved to the next column. Writes the offset of each value
 * to `at`, its bytes with those of its length to `size`, and whether it is NULL to `null`. `at` and `size` are 0 for
 * NULL.
 */
void dfp_column(const uint8_t *data, const int64_t *begins, int64_t count, int32_t index, int32_t width,
                int32_t prefix, int64_t *next, int64_t *at, int64_t *size, uint8_t *null) {
    for (int64_t i = 0; i < count; i++) {
        int is_null = data[begins[i] + (index >> 3)] >> (index & 7) & 1;
        int64_t from = next[i];
        int64_t taken = is_null ? 0 : prefix ? prefix + (int64_t)little(data + from, prefix) : width;
        null[i] = (uint8_t)is_null;
        at[i] = is_null ? 0 : from;
        size[i] = taken;
        next[i] = from + taken;
    }
}

/* Copies `width` bytes from each position, back to back. The data must be that long after the last position. */
void dfp_windows(const uint8_t *data, const int64_t *at, int64_t count, int64_t width, uint8_t *to) {
    switch (width) {
#define OF(constant) \
    case constant: \
        for (int64_t i = 0; i < count; i++) memcpy(to + i * constant, data + at[i], constant); \
        break;
        OF(1) OF(2) OF(3) OF(4) OF(5) OF(6) OF(7) OF(8)
#undef OF
    default:
        for (int64_t i = 0; i < count; i++) memcpy(to + i * width, data + at[i], (size_t)width);
    }
}
