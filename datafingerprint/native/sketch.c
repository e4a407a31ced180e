/* Adds row versions to the cells of a sketch, and packs short texts as keys.
 *
 * The rule is datafingerprint/sketch.py and sketch_keys.py; this is the same for whole columns, held to it by tests
 * and by a check at load.
 */
#include <stdint.h>
#include <string.h>

#define PLACES 4
#define WORDS 6
#define PACKED 15 /* octets of a text after its length */

static uint64_t mixed(uint64_t word) {
    word = (word ^ (word >> 33)) * 0xff51afd7ed558ccdu;
    word = (word ^ (word >> 33)) * 0xc4ceb9fe1a85ec53u;
    return word ^ (word >> 33);
}

static uint64_t turned(uint64_t word) { return word << 32 | word >> 32; }

/* Adds rows to the sketches of their groups, each of four times `width` cells of six words, modulo 2^64.
 *
 * The rows are `order[from .. to)`, or from .. to themselves where `order` is NULL; where `groups` is NULL all are of
 * group 0. Digests are pairs of high and low half. */
void dfp_sketch(const uint64_t *key_hi, const uint64_t *key_lo, const uint64_t *digests, const int64_t *order,
                const int32_t *groups, int64_t from, int64_t to, uint32_t width, uint64_t *cells) {
    for (int64_t at = from; at < to; at++) {
        int64_t row = order ? order[at] : at;
        uint64_t hi = digests[2 * row], lo = digests[2 * row + 1];
        uint64_t check = mixed(hi + turned(key_hi[row]) * 0x9e3779b97f4a7c15u);
        check = mixed(check ^ (lo + turned(key_lo[row]) * 0xc2b2ae3d27d4eb4fu));
        uint64_t words[WORDS] = {1, key_hi[row], key_lo[row], hi, lo, check};
        uint64_t *sketch = cells + (groups ? (size_t)groups[row] * WORDS * PLACES * width : 0);
        for (uint32_t quarter = 0; quarter < PLACES; quarter++) {
            uint64_t place = ((check >> 16 * quarter & 0xffff) * width) >> 16;
            uint64_t *cell = sketch + WORDS * (quarter * width + place);
            for (int i = 0; i < WORDS; i++) cell[i] += words[i];
        }
    }
}

/* Packs texts of at most 15 octets: their length, then their octets, then noughts, as one number of 128 bits with the
 * first octet highest. Of longer ones and of NULL the two halves are left as they are. */
void dfp_pack(const void *offsets, int32_t long_offsets, const uint8_t *data, const uint8_t *valid, int64_t offset,
              int64_t rows, uint64_t *hi, uint64_t *lo) {
    for (int64_t row = 0; row < rows; row++) {
        int64_t at = offset + row, start, end;
        uint8_t octets[16] = {0};
        uint64_t halves[2];
        if (valid && !(valid[at >> 3] >> (at & 7) & 1)) continue;
        start = long_offsets ? ((const int64_t *)offsets)[at] : ((const int32_t *)offsets)[at];
        end = long_offsets ? ((const int64_t *)offsets)[at + 1] : ((const int32_t *)offsets)[at + 1];
        if (end - start > PACKED) continue;
        octets[0] = (uint8_t)(end - start);
        if (end > start) memcpy(octets + 1, data + start, (size_t)(end - start));
        memcpy(halves, octets, 16);
        hi[row] = __builtin_bswap64(halves[0]);
        lo[row] = __builtin_bswap64(halves[1]);
    }
}
