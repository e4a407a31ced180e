/* Finds what lies where in a MySQL or MariaDB binlog: packets, transactions of the plain kind, row images, columns.
 *
 * Whatever is not as ordinary as can be ends a run before it: the caller's own reading, which knows all of it, goes on
 * from there and says what is wrong, if anything is. So nothing is refused here, and nothing is passed over. Layouts
 * are those of the MySQL Internals manual and of the MariaDB Knowledge Base ("Replication Protocol"). All integers of
 * the log are little-endian, and so is the machine (library.py sees to that).
 */
#include <stdint.h>
#include <string.h>

enum { PACKET_HEADER = 4, STATUS = 1, HEADER = 19, CHECKSUM = 4, PACKET_MAX = 0xFFFFFF, LENGTH_MAX = 4 };

enum event {
    QUERY = 2,
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

/* Tables of CRC-32 as zlib has it, for eight octets at a time ("slicing-by-8", Kounavis and Berry, 2005). */
__attribute__((constructor)) static void make_tables(void) {
    for (uint32_t octet = 0; octet < 256; octet++) {
        uint32_t value = octet;
        for (int bit = 0; bit < 8; bit++) value = value >> 1 ^ (value & 1 ? 0xEDB88320u : 0);
        crc_table[0][octet] = value;
    }
    for (int table = 1; table < 8; table++)
        for (int octet = 0; octet < 256; octet++) {
            uint32_t before = crc_table[table - 1][octet];
            crc_table[table][octet] = before >> 8 ^ crc_table[0][before & 0xFF];
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

/* Whole packets at the head of `octets`, each with one event of which nothing is to be said.
 *
 * They are numbered from `sequence` on (in 8 bits), say OK, and are shorter than the longest packet, which another
 * one would continue. `begins` and `ends` get where each event lies, its checksum left out; `behind` where the first
 * packet lies that is not one of them. Returns how many there are, `most` at most.
 */
int64_t dfp_packets(const uint8_t *octets, int64_t length, int32_t sequence, int32_t has_checksums, int64_t most,
                    int64_t *begins, int64_t *ends, int64_t *behind) {
    int64_t count = 0, at = 0, checksum = has_checksums ? CHECKSUM : 0;
    for (; count < most && length - at >= PACKET_HEADER; count++) {
        int64_t size = (int64_t)little(octets + at, 3), begin = at + PACKET_HEADER + STATUS, end;
        if (size == PACKET_MAX || size < STATUS + HEADER + checksum || size > length - at - PACKET_HEADER) break;
        if (octets[at + 3] != (uint8_t)(sequence + count) || octets[at + PACKET_HEADER]) break;
        end = at + PACKET_HEADER + size - checksum;
        if (checksum && crc32_of(octets + begin, end - begin) != little(octets + end, CHECKSUM)) break;
        begins[count] = begin;
        ends[count] = end;
        at += PACKET_HEADER + size;
    }
    *behind = at;
    return count;
}

/* --- transactions --------------------------------------------------------------------------------------------- */

/* Where a run of transactions goes; the caller has room in each array for as many entries as there are events. */
struct run {
    int64_t transactions, events, rows, maps; /* how many there are of each */
    uint64_t *number;                         /* of each transaction: its number in the GTID, */
    int64_t *timestamp, *end;                 /* when it was logged, and the lower 32 bits of where it ends */
    int64_t *of, *map, *kind, *begin, *until; /* of each rows event: transaction, map, event type, and its images */
    int64_t *described;                       /* of each table map that differs from the others: its event */
};

struct cursor {
    const uint8_t *octets; /* of the whole piece */
    const int64_t *begins, *ends;
    int64_t at, count; /* the event that is next, and how many there are */
    uint32_t place;    /* where the log stands: events end behind it, in their order */
};

/* The next event's type; none of the known ones when it is shorter than a header. */
static int kind_of(const struct cursor *cursor) {
    int64_t begin = cursor->begins[cursor->at];
    return cursor->ends[cursor->at] - begin < HEADER ? -1 : cursor->octets[begin + 4];
}

/* The body of the next event, which has a header, and its length; NULL when it does not end behind the one before. */
static const uint8_t *body_of(struct cursor *cursor, int64_t *length) {
    const uint8_t *header = cursor->octets + cursor->begins[cursor->at];
    uint32_t end = (uint32_t)little(header + 13, 4);
    if (end <= cursor->place) return NULL;
    cursor->place = end;
    *length = cursor->ends[cursor->at] - cursor->begins[cursor->at] - HEADER;
    return header + HEADER;
}

/* Whether a transaction begins that continues those of `first`: the same server's, with a number that may be next. */
static int is_begun(struct cursor *cursor, const uint8_t **first, uint64_t *number) {
    static const uint8_t begin[] = "BEGIN";
    int64_t length;
    const uint8_t *header = cursor->octets + cursor->begins[cursor->at], *body;
    int kind = kind_of(cursor);
    uint64_t found;
    if ((kind != GTID && kind != MYSQL_GTID) || !(body = body_of(cursor, &length))) return 0;
    cursor->at++;
    if (kind == GTID) {
        /* Flags: 1 is a statement that stands alone, 64 and 128 belong to XA. */
        if (length < 13 || body[12] & (1 | 64 | 128)) return 0;
        found = little(body, 8);
        if (*first && ((*first)[4] != GTID || memcmp(*first + 5, header + 5, 4) ||
                       memcmp(*first + HEADER + 8, body + 8, 4) || found <= *number))
            return 0;
    } else {
        if (length < 25) return 0;
        found = little(body + 17, 8);
        if (*first && ((*first)[4] != MYSQL_GTID || memcmp(*first + HEADER + 1, body + 1, 16) || found != *number + 1))
            return 0;
        if (cursor->at == cursor->count || kind_of(cursor) != QUERY || !(body = body_of(cursor, &length))) return 0;
        cursor->at++;
        if (length < 13) return 0;
        /* Behind the fixed fields: session variables, the schema and a zero, and the statement. */
        int64_t text = 13 + (int64_t)little(body + 11, 2) + body[8] + 1;
        if (length - text != sizeof begin - 1 || memcmp(body + text, begin, sizeof begin - 1)) return 0;
    }
    if (!*first) *first = header;
    *number = found;
    return 1;
}

enum { MAPS_MAX = 64 };

struct maps {
    int64_t count;
    struct {
        const uint8_t *body;
        int64_t length, transaction; /* the last one that it stands in */
    } found[MAPS_MAX];
};

static int64_t map_of(const struct maps *maps, const uint8_t *table_id) {
    for (int64_t i = maps->count; i-- > 0;)
        if (!memcmp(maps->found[i].body, table_id, 6)) return i;
    return -1;
}

/* Keeps a table map; 0 when there are too many, or another one of the same number. */
static int is_mapped(struct maps *maps, struct run *run, const struct cursor *cursor, const uint8_t *body,
                     int64_t length) {
    int64_t known;
    if (length < 8) return 0;
    known = map_of(maps, body);
    if (known < 0) {
        if (maps->count == MAPS_MAX) return 0;
        known = maps->count++;
        maps->found[known].body = body;
        maps->found[known].length = length;
        run->described[known] = cursor->at;
    } else if (maps->found[known].length != length || memcmp(maps->found[known].body, body, (size_t)length)) {
        return 0;
    }
    maps->found[known].transaction = run->transactions;
    return 1;
}

/* Whether a bitmap has all its bits. */
static int is_full(const uint8_t *bitmap, int64_t bits) {
    for (; bits >= 8; bits -= 8)
        if (*bitmap++ != 0xFF) return 0;
    return !bits || (*bitmap & ((1 << bits) - 1)) == (1 << bits) - 1;
}

/* Keeps a rows event whose images have all columns of a table that was described in the same transaction. */
static int is_kept(const struct maps *maps, struct run *run, const struct cursor *cursor, int kind,
                   const uint8_t *body, int64_t length, int64_t row) {
    int64_t at = 8, columns, bitmaps, map;
    int is_v2 = kind >= WRITE_ROWS_V2;
    int is_update = kind == WRITE_ROWS_V1 + 1 || kind == WRITE_ROWS_V2 + 1;
    if (length < at + 2) return 0;
    map = map_of(maps, body);
    if (map < 0 || maps->found[map].transaction != run->transactions) return 0;
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
    run->of[row] = run->transactions;
    run->map[row] = map;
    run->kind[row] = kind;
    run->begin[row] = body + at + bitmaps - cursor->octets;
    run->until[row] = body + length - cursor->octets;
    return 1;
}

/* One whole transaction; 0 when it is not plain, or goes on behind the piece. */
static int is_whole(struct cursor *cursor, struct maps *maps, struct run *run, int64_t octets_max, int64_t *rows) {
    enum { OF_EACH = 9 }; /* what is counted for an event beside its images */
    int64_t octets = 0;
    for (; cursor->at < cursor->count; cursor->at++) {
        int kind = kind_of(cursor);
        int64_t length;
        const uint8_t *body;
        if (kind == ANNOTATE_ROWS || kind == ROWS_QUERY) continue;
        if (kind < 0 || !(body = body_of(cursor, &length))) return 0;
        if (kind == TABLE_MAP) {
            if (!is_mapped(maps, run, cursor, body, length)) return 0;
        } else if ((kind >= WRITE_ROWS_V1 && kind <= DELETE_ROWS_V1) ||
                   (kind >= WRITE_ROWS_V2 && kind <= DELETE_ROWS_V2)) {
            if (!is_kept(maps, run, cursor, kind, body, length, *rows)) return 0;
            octets += OF_EACH + run->until[*rows] - run->begin[*rows];
            if (octets > octets_max) return 0;
            ++*rows;
        } else if (kind == XID) {
            run->timestamp[run->transactions] = (int64_t)little(body - HEADER, 4);
            run->end[run->transactions] = cursor->place;
            cursor->at++;
            return 1;
        } else {
            return 0;
        }
    }
    return 0;
}

/* The plain transactions that the events from `first` on begin with, all of one server and in the order of numbers.
 *
 * Plain is: GTID (and BEGIN, of MySQL), then table maps and rows events in any number, then XID; every image full, and
 * no more than `octets_max` of them in one transaction. The run ends with the transaction by which all images take
 * `enough` octets, or that is the last of `most`. `place` is the lower 32 bits of where the log stands before.
 */
void dfp_transactions(const uint8_t *octets, const int64_t *begins, const int64_t *ends, int64_t first, int64_t count,
                      uint32_t place, int64_t octets_max, int64_t enough, int64_t most, struct run *run) {
    struct cursor cursor = {octets, begins, ends, first, count, place};
    struct maps maps = {0};
    const uint8_t *head = NULL;
    uint64_t number = 0;
    run->transactions = run->events = run->rows = run->maps = 0;
    while (cursor.at < count && enough > 0 && run->transactions < most) {
        int64_t rows = run->rows;
        if (!is_begun(&cursor, &head, &number) || !is_whole(&cursor, &maps, run, octets_max, &rows)) break;
        run->number[run->transactions++] = number;
        for (int64_t row = run->rows; row < rows; row++) enough -= run->until[row] - run->begin[row];
        run->rows = rows;
        run->maps = maps.count;
        run->events = cursor.at - first;
    }
}

/* --- row images ----------------------------------------------------------------------------------------------- */

/* Where each image begins; `begins` may be NULL, when they are only to be counted.
 *
 * Of each column `widths` is its octets, or where `prefixes` is not 0 the octets of the length in front of the value.
 * Returns how many there are, or -1 when they do not end where the octets do, or a length has more than four octets.
 */
int64_t dfp_images(const uint8_t *octets, int64_t length, const int32_t *widths, const int32_t *prefixes,
                   int32_t columns, int64_t *begins) {
    int64_t bitmap = (columns + 7) / 8, at = 0, count = 0;
    if (columns < 1) return -1;
    for (int32_t i = 0; i < columns; i++)
        if (prefixes[i] < 0 || prefixes[i] > LENGTH_MAX || widths[i] < 0) return -1;
    for (; at < length; count++) {
        const uint8_t *nulls = octets + at;
        if (begins) begins[count] = at;
        if (bitmap > length - at) return -1;
        at += bitmap;
        for (int32_t i = 0; i < columns; i++) {
            if (nulls[i >> 3] >> (i & 7) & 1) continue;
            if (prefixes[i]) {
                if (prefixes[i] > length - at) return -1;
                at += prefixes[i] + (int64_t)little(octets + at, prefixes[i]);
            } else {
                at += widths[i];
            }
            if (at > length) return -1;
        }
    }
    return count;
}

/* One column of images that `dfp_images` has found whole, the columns before it passed already.
 *
 * `next` is where each image goes on, and is moved behind the value. `at` and `size` get where the value begins and
 * its octets with those of its length, both 0 where it is NULL; `null` whether it is.
 */
void dfp_column(const uint8_t *octets, const int64_t *begins, int64_t count, int32_t index, int32_t width,
                int32_t prefix, int64_t *next, int64_t *at, int64_t *size, uint8_t *null) {
    for (int64_t i = 0; i < count; i++) {
        int is_null = octets[begins[i] + (index >> 3)] >> (index & 7) & 1;
        int64_t from = next[i];
        int64_t taken = is_null ? 0 : prefix ? prefix + (int64_t)little(octets + from, prefix) : width;
        null[i] = (uint8_t)is_null;
        at[i] = is_null ? 0 : from;
        size[i] = taken;
        next[i] = from + taken;
    }
}

/* So many octets from each position, one behind the other; the octets go on as far behind the last position. */
void dfp_windows(const uint8_t *octets, const int64_t *at, int64_t count, int64_t width, uint8_t *to) {
    switch (width) {
#define OF(constant) \
    case constant: \
        for (int64_t i = 0; i < count; i++) memcpy(to + i * constant, octets + at[i], constant); \
        break;
        OF(1) OF(2) OF(3) OF(4) OF(5) OF(6) OF(7) OF(8)
#undef OF
    default:
        for (int64_t i = 0; i < count; i++) memcpy(to + i * width, octets + at[i], (size_t)width);
    }
}
